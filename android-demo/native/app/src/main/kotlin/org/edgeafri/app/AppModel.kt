/* AppModel: what the app is doing, kept while the screen turns. Work is off the main thread; no text is written. */
package org.edgeafri.app

import ai.onnxruntime.OrtException
import android.app.Application
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import java.io.File
import kotlin.coroutines.cancellation.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import org.edgeafri.core.Benchmark
import org.edgeafri.core.BundleError
import org.edgeafri.core.Doubt
import org.edgeafri.core.Entity
import org.edgeafri.core.Json
import org.edgeafri.core.LabelledUnit
import org.edgeafri.core.Trial
import org.edgeafri.core.Verdict
import org.edgeafri.core.codePoints
import org.edgeafri.core.installBundle
import org.edgeafri.core.jsonText

const val LONGEST = 20_000 // characters; as the web page

/** The bundle on its way, open, or not to be opened. */
sealed class Opening {
    object Running : Opening()
    class Open(val engine: Engine, val languages: Map<String, String>, val licences: Map<String, String>) : Opening()
    class Failed(val failure: Failure) : Opening()
}

/** A calm sentence, by its name among the strings, and what the engine said. */
class Failure(val sentence: Int, val details: String)

/** What is shown of a text. */
sealed class Answer {
    object None : Answer()
    object Empty : Answer()
    object NoWords : Answer()
    object NoExample : Answer()
    object Stopped : Answer()
    class TooLong(val characters: Int) : Answer()
    class Reading(val share: Float) : Answer()
    class Entities(val text: String, val found: List<Entity>, val doubt: Doubt) : Answer()
    class Class(val verdict: Verdict, val isCut: Boolean, val doubt: Doubt) : Answer()
    class Failed(val failure: Failure) : Answer()
}

/** The measurement as JSON values, on its way with a share of 0 to 1, or failed. */
sealed class Speed {
    object None : Speed()
    class Running(val share: Float) : Speed()
    class Done(val values: Map<String, Any?>, val equal: Int, val golden: Int) : Speed() {
        val json: String get() = jsonText(values) + "\n"
    }
    class Failed(val failure: Failure) : Speed()
}

class AppModel(application: Application) : AndroidViewModel(application) {
    var opening: Opening by mutableStateOf(Opening.Running)
        private set
    var answer: Answer by mutableStateOf(Answer.None)
        private set
    var speed: Speed by mutableStateOf(Speed.None)
        private set
    private var reading: Job? = null

    init {
        open()
    }

    /** Copy the bundle from the assets, check it and open it. */
    fun open() {
        opening = Opening.Running
        viewModelScope.launch {
            opening = withContext(Dispatchers.Default) {
                guarded({ Opening.Failed(it) }) { Opening.Open(openEngine(bundle()), languages(), licences()) }
            }
        }
    }

    /** Read a text. A second call while one is read does nothing. */
    fun read(engine: Engine, text: String) {
        if (reading?.isActive == true) return
        val characters = codePoints(text).size
        if (text.isBlank()) return show(Answer.Empty)
        if (characters > LONGEST) return show(Answer.TooLong(characters))
        answer = Answer.Reading(0f)
        reading = viewModelScope.launch {
            answer = try {
                withContext(Dispatchers.Default) {
                    guarded({ Answer.Failed(it) }) {
                        answered(engine, text) { done, total ->
                            ensureActive()
                            answer = Answer.Reading(done.toFloat() / total)
                        }
                    }
                }
            } catch (stopped: CancellationException) {
                Answer.Stopped
            }
        }
    }

    fun stop() {
        reading?.cancel()
    }

    fun show(next: Answer) {
        answer = next
    }

    /** Time the model, then replay its golden sentences. */
    fun measure(engine: Engine) {
        speed = Speed.Running(0f)
        viewModelScope.launch {
            speed = withContext(Dispatchers.Default) {
                guarded({ Speed.Failed(it) }) { measured(engine) }
            }
        }
    }

    private fun measured(engine: Engine): Speed {
        val benchmark = Benchmark(engine.bundle, engine::logits, Phone(getApplication()))
        val values = benchmark.run(Trial(), engine.threads, engine.loadMs) { done, total ->
            speed = Speed.Running(done.toFloat() / total)
        }
        val golden = engine.bundle.golden
        val equal = golden.count {
            val words = engine.predictor.words(it.text)
            val rows = engine.predictor.rows(words)
            rows.size == 1 && rows[0].ids == it.ids && engine.predictor.label(words).labels == it.labels
        }
        return Speed.Done(values, equal, golden.size)
    }

    private fun bundle() = installBundle({ getApplication<Application>().assets.open("bundle/$it") }, root())

    private fun root() = File(getApplication<Application>().noBackupFilesDir, "bundle")

    private fun languages(): Map<String, String> =
        Json.read(asset("languages.json"), "languages.json").fields.mapValues { it.value.text }

    private fun licences(): Map<String, String> =
        mapOf(
            "EdgeAfri, AndroidX, Jetpack Compose, Kotlin: Apache-2.0" to asset("licences/edgeafri.txt"),
            "onnxruntime: MIT" to asset("licences/onnxruntime-web.txt")
        )

    private fun asset(name: String): String =
        getApplication<Application>().assets.open(name).bufferedReader().use { it.readText() }
}

private fun answered(engine: Engine, text: String, tick: (Int, Int) -> Unit): Answer {
    val predictor = engine.predictor
    val words = predictor.words(text)
    if (words.isEmpty()) return Answer.NoWords
    val doubt = engine.doubts.of(text, words)
    val (unit, most) = Pair(engine.bundle.config.unit, engine.bundle.config.maxTokens)
    if (unit == LabelledUnit.WORD) return Answer.Entities(text, predictor.findEntities(text, tick), doubt)
    return Answer.Class(predictor.classify(text), predictor.rows(words)[0].ids.size == most, doubt)
}

/** What `work` gives, or what is said of its failure. */
private fun <T> guarded(failed: (Failure) -> T, work: () -> T): T =
    try {
        work()
    } catch (error: BundleError) {
        val isTokenizer = error.message.startsWith("tokenizer.json")
        val sentence = if (isTokenizer) R.string.error_tokenizer else R.string.error_files
        failed(Failure(sentence, "${error.message}\n${error.hint}"))
    } catch (error: OrtException) {
        failed(Failure(R.string.error_graph, error.message.orEmpty()))
    } catch (error: OutOfMemoryError) {
        failed(Failure(R.string.error_memory, error.message.orEmpty()))
    }
