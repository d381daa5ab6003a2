/* Replay: compares what this core makes of a bundle with shared vectors, on the JVM. It prints one JSON document. */
package org.edgeafri.core

import java.io.File
import kotlin.system.exitProcess

private const val SHOWN = 20
private const val LONGEST = 400

/**
 * Arguments: a bundle's folder, a file of vectors and, to copy the bundle as the app does, a folder. Exit code 1 where
 * something differs, 4 for a bundle that is refused.
 */
fun main(args: Array<String>) {
    val (folder, vectors) = args.map { File(it) }
    try {
        val copy = args.getOrNull(2)?.let { File(it) }
        val bundle = if (copy == null) openBundle(folder) else installBundle({ File(folder, it).inputStream() }, copy)
        val report = Replay(bundle).report(vectors)
        println(jsonText(report))
        exitProcess(if (report["mismatches"] == 0) 0 else 1)
    } catch (error: BundleError) {
        System.err.println("${error.message}\n${error.hint}")
        exitProcess(4)
    }
}

private class Replay(private val bundle: Bundle) {
    private val isText = bundle.config.unit == LabelledUnit.TEXT
    private var labelled = 0
    private var rows = 0
    private var ids = 0
    private val doubts = Doubts(bundle)
    private val found = LinkedHashMap<String, Int>()
    private val wrong = ArrayList<Map<String, Any?>>()

    fun report(file: File): Map<String, Any?> {
        val vectors = file.readLines().filter { it.isNotEmpty() }
        for (line in vectors) compare(Json.read(line, file.name))
        return mapOf(
            "texts" to vectors.size,
            "rows" to rows,
            "ids" to ids,
            "labelled" to labelled,
            "doubts" to found,
            "mismatches" to wrong.size,
            "first" to wrong.take(SHOWN),
            "measurement" to measurement()
        )
    }

    private fun compare(vector: Json) {
        val text = vector["text"].text
        val wanted = vector["rows"].items.map { Row(ints(it["ids"]), ints(it["words"]), ints(it["firsts"])) }
        val predictor = Predictor(bundle.tokenizer, bundle.config, told(vector, wanted))
        val words = predictor.words(text)
        rows += wanted.size
        wanted.forEach { ids += it.ids.size }
        equal(vector, "words", words(vector), placed(text))
        equal(vector, "rows", wanted, predictor.rows(words))
        doubts.of(text, predictor.words(text)).name.let { found[it] = (found[it] ?: 0) + 1 }
        if ("labels" in vector) compareLabels(vector, predictor, words)
    }

    /** Words with their offsets, or text alone where whole texts are labelled. */
    private fun words(vector: Json): List<Any> {
        val words = vector["words"].items
        if (isText) return words.map { it.text }
        return words.map { it.items }.map { (text, start, end) -> Word(text.text, start.int, end.int) }
    }

    private fun placed(text: String): List<Any> = if (isText) spacedWords(text) else splitWords(text)

    private fun compareLabels(vector: Json, predictor: Predictor, words: List<String>) {
        labelled += 1
        val text = vector["text"].text
        val labels = strings(vector["labels"])
        if (isText) return equal(vector, "label", labels[0], predictor.classify(text).label)
        equal(vector, "labels", labels, predictor.label(words).labels)
        val wanted = vector["entities"].items.map {
            val (start, end) = Pair(it["start"].int, it["end"].int)
            listOf(it["label"].text, slice(text, start, end), start, end)
        }
        val found = predictor.findEntities(text).map { listOf(it.label, it.text, it.start, it.end) }
        equal(vector, "entities", wanted, found)
    }

    /** A model that knows the answer: at the first sub-word of every word, the logit of its label is the highest. */
    private fun told(vector: Json, wanted: List<Row>): Forward = { given ->
        val row = wanted.first { it.ids == given.map { id -> id.toInt() } }
        val logits = Array(given.size) { FloatArray(bundle.config.labels.size) }
        row.words.forEachIndexed { index, word ->
            logits[row.firsts[index]][bundle.config.labels.indexOf(strings(vector["labels"])[word])] = 5f
        }
        logits
    }

    private fun equal(vector: Json, what: String, wanted: Any?, found: Any?) {
        if (wanted == found) return
        val said = mapOf("source" to vector["source"].text, "what" to what, "text" to vector["text"].text)
        val both = mapOf("wanted" to wanted.toString(), "found" to found.toString())
        wrong.add((said + both).mapValues { it.value.take(LONGEST) })
    }

    /** A benchmark of a model that does nothing: its keys are what is looked at. */
    private fun measurement(): Map<String, Any?> {
        val none = Array(bundle.config.maxTokens) { FloatArray(bundle.config.labels.size) }
        return Benchmark(bundle, { none }, Jvm).run(Trial(), threads = 1, loadMs = 0.0) { _, _ -> }
    }
}

private object Jvm : Platform {
    override val device = "JVM"
    override val runtime = "none"

    override fun wallMs() = System.nanoTime() / 1e6
    override fun cpuMs() = System.nanoTime() / 1e6
    override fun peakBytes() = Runtime.getRuntime().totalMemory()
    override fun conditions(): Map<String, Any?> = mapOf("system" to System.getProperty("java.version"))
    override fun state(): Map<String, Any?> = mapOf("temperature_c" to null)
}

private fun ints(json: Json): List<Int> = json.items.map { it.int }

private fun strings(json: Json): List<String> = json.items.map { it.text }
