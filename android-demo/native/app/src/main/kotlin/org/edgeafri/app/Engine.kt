/* Engine: onnxruntime over a bundle's graph, told what edgeafri/inference/session.py tells every session. */
package org.edgeafri.app

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import android.os.SystemClock
import java.nio.LongBuffer
import org.edgeafri.core.Bundle
import org.edgeafri.core.Doubts
import org.edgeafri.core.LabelledUnit
import org.edgeafri.core.Predictor

/** An open bundle. `loadMs` is the time to read tokenizer and graph; copying and hashing are not in it. */
class Engine(val bundle: Bundle, private val session: OrtSession, val threads: Int, val loadMs: Double) {
    val doubts = Doubts(bundle)
    val predictor = Predictor(bundle.tokenizer, bundle.config, ::logits)

    /** A row of labels for every id, or the only row where whole texts are labelled. */
    fun logits(ids: LongArray): Array<FloatArray> {
        val shape = longArrayOf(1, ids.size.toLong())
        val ones = LongArray(ids.size) { 1 }
        val feed = session.inputNames.associateWith { tensor(if (it == "input_ids") ids else ones, shape) }
        try {
            session.run(feed, setOf("logits")).use { return rows(it.get(0).value) }
        } finally {
            feed.values.forEach { it.close() }
        }
    }

    @Suppress("UNCHECKED_CAST")
    private fun rows(value: Any): Array<FloatArray> {
        if (bundle.config.unit == LabelledUnit.TEXT) return value as Array<FloatArray>
        return (value as Array<Array<FloatArray>>)[0]
    }

    private fun tensor(values: LongArray, shape: LongArray): OnnxTensor =
        OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), LongBuffer.wrap(values), shape)
}

/** Open a bundle's graph from its file, so that weights beside it are found. OrtException where it cannot be read. */
fun openEngine(bundle: Bundle): Engine {
    val threads = minOf(bundle.config.threads, Runtime.getRuntime().availableProcessors())
    val began = SystemClock.elapsedRealtimeNanos()
    val session = options(threads, bundle.config.prepack).use {
        OrtEnvironment.getEnvironment().createSession(bundle.graph.path, it)
    }
    val graphMs = (SystemClock.elapsedRealtimeNanos() - began) / 1e6
    return Engine(bundle, session, threads, bundle.tokenizerMs + graphMs)
}

private fun options(threads: Int, prepack: Boolean): OrtSession.SessionOptions =
    OrtSession.SessionOptions().apply {
        setIntraOpNumThreads(threads)
        setInterOpNumThreads(1)
        setMemoryPatternOptimization(false)
        addConfigEntry("optimization.disable_specified_optimizers", "SkipLayerNormFusion")
        addConfigEntry("session.intra_op.allow_spinning", "0")
        if (!prepack) addConfigEntry("session.disable_prepacking", "1")
    }
