/* Measurement: one benchmark on one phone, in the keys of edgeafri/documents/measurement.py: `edgeafri calibrate` reads it. */
package org.edgeafri.core

import java.util.Random

private const val SCHEMA = 3

/** What only the platform knows: clocks in milliseconds, memory in bytes, and what shapes a timing. */
interface Platform {
    val device: String
    val runtime: String

    fun wallMs(): Double
    fun cpuMs(): Double
    fun peakBytes(): Long
    fun conditions(): Map<String, Any?>
    fun state(): Map<String, Any?>
}

/** How a benchmark is run: as `edgeafri bench` does by itself. */
class Trial(val length: Int = 128, val runs: Int = 50, val warmup: Int = 5)

/** Times the model on one sentence of random sub-words; `tick` hears (done, total). The result is one JSON object. */
class Benchmark(private val bundle: Bundle, private val forward: Forward, private val platform: Platform) {

    fun run(trial: Trial, threads: Int, loadMs: Double, tick: (Int, Int) -> Unit): Map<String, Any?> {
        val ids = sentence(trial.length)
        repeat(trial.warmup) { forward(ids) }
        val before = platform.conditions() + platform.state()
        val began = platform.cpuMs()
        val times = List(trial.runs) { run -> timed { forward(ids) }.also { tick(run + 1, trial.runs) } }
        val cpu = (platform.cpuMs() - began) / trial.runs
        val (p50, p95) = Pair(percentile(times, 50), percentile(times, 95))
        val peak = platform.peakBytes()
        return mapOf(
            "schema" to SCHEMA,
            "bundle_id" to bundle.manifest.id,
            "device" to platform.device,
            "runtime" to platform.runtime,
            "threads" to threads,
            "seq_len" to ids.size,
            "runs" to trial.runs,
            "warmup" to trial.warmup,
            "load_ms" to rounded(loadMs, 2),
            "p50_ms" to rounded(p50, 3),
            "p95_ms" to rounded(p95, 3),
            "mean_ms" to rounded(times.sum() / times.size, 3),
            "cpu_ms" to rounded(cpu, 3)
        ) + beside(ids, trial.runs) + mapOf(
            "tokens_per_s" to rounded(ids.size / p50 * 1000, 1),
            "peak_rss_mb" to rounded(peak / 1e6, 1),
            "memory" to null,
            "work" to work(),
            "conditions" to before,
            "after" to platform.state()
        )
    }

    /** What goes on before and after the model, on text of about as many sub-words: medians. */
    private fun beside(ids: LongArray, runs: Int): Map<String, Any?> {
        val text = bundle.tokenizer.decode(ids.map { it.toInt() }.drop(1).dropLast(1))
        val none = Array(bundle.config.maxTokens) { FloatArray(bundle.config.labels.size) }
        val predictor = Predictor(bundle.tokenizer, bundle.config) { none }
        val words = predictor.words(text)
        val rows = predictor.rows(words)
        val places = if (bundle.config.unit == LabelledUnit.WORD) words.size else 1
        return mapOf(
            "tokenize_ms" to median(runs) { predictor.rows(predictor.words(text)) },
            "decode_ms" to median(runs) { predictor.label(rows, places) }
        )
    }

    /** The first run is not counted. */
    private fun median(runs: Int, work: () -> Unit): Double =
        rounded(percentile(List(runs + 1) { timed(work) }.drop(1), 50), 3)

    /** Sub-words drawn evenly from the vocabulary, so that few embedding rows are in the cache already. */
    private fun sentence(wanted: Int): LongArray {
        val length = minOf(wanted, bundle.config.maxTokens)
        val frame = bundle.config.frame
        val draw = Random(0)
        return LongArray(length) { place ->
            val drawn = FIRST_PIECE + draw.nextInt(bundle.tokenizer.size - FIRST_PIECE)
            when {
                place == 0 -> frame.start
                place == length - 1 || drawn == frame.pad -> frame.end
                else -> drawn
            }.toLong()
        }
    }

    private fun timed(work: () -> Unit): Double {
        val began = platform.wallMs()
        work()
        return platform.wallMs() - began
    }

    /** The manifest's numbers. */
    private fun work(): Map<String, Any?> =
        bundle.manifest.facts.mapValues { it.value.digits }.filterValues { it != null }
}

private const val FIRST_PIECE = 4

/** Between the two nearest values, as numpy's percentile. */
internal fun percentile(values: List<Double>, percent: Int): Double {
    val sorted = values.sorted()
    val place = percent / 100.0 * (sorted.size - 1)
    val low = place.toInt()
    return sorted[low] + (sorted[minOf(low + 1, sorted.size - 1)] - sorted[low]) * (place - low)
}
