/* From words to labels, as edgeafri/inference/predict.py and runtime/engine.py go: windows, first sub-words, entities. */
package org.edgeafri.core

import java.math.BigDecimal
import java.math.RoundingMode

/** Logits of one input: a row of labels for every id, or the only row where whole texts are labelled. */
typealias Forward = (LongArray) -> Array<FloatArray>

/** One input of the model: its ids, the words whose labels are taken from it, and where their first sub-words stand. */
data class Row(val ids: List<Int>, val words: List<Int>, val firsts: List<Int>)

/** What a sentence means: `start` and `end` count code points of the user's text. */
data class Entity(val label: String, val text: String, val start: Int, val end: Int, val score: Double)

/** The best label of a whole text, and the probability of every label; no label where a text has no words. */
data class Verdict(val label: String?, val score: Double?, val labels: Map<String, Double>)

/** A label for every word with its probability; O where a word was not read. */
data class Labelled(val labels: List<String>, val scores: List<Double>)

const val OVERLAP = 32 // sub-words that neighbouring windows share

class Predictor(private val tokenizer: Tokenizer, private val config: Config, private val forward: Forward) {

    /** The entities of raw text; `tick` hears how many windows are read, of how many. */
    fun findEntities(text: String, tick: (Int, Int) -> Unit = { _, _ -> }): List<Entity> {
        val words = splitWords(text)
        return entities(text, words, label(rows(words.map { it.text }), words.size, tick))
    }

    /** The label of raw text. */
    fun classify(text: String): Verdict {
        val words = words(text)
        if (words.isEmpty()) return Verdict(null, null, mapOf())
        val shares = shares(read(rows(words), 1)[0] ?: nothing())
        val best = best(shares)
        val found = config.labels.indices.associate { config.labels[it] to rounded(shares[it]) }
        return Verdict(config.labels[best], rounded(shares[best]), found)
    }

    /** The words of raw text as the model reads them. */
    fun words(text: String): List<String> =
        if (config.unit == LabelledUnit.WORD) splitWords(text).map { it.text } else spacedWords(text)

    /** A label for every word. */
    fun label(words: List<String>): Labelled = label(rows(words), words.size)

    /** A label for every place that `rows` read: words, or 1 where whole texts are labelled. */
    internal fun label(rows: List<Row>, places: Int, tick: (Int, Int) -> Unit = { _, _ -> }): Labelled {
        val read = read(rows, places, tick)
        val shares = read.map { shares(it ?: nothing()) }
        val labels = read.indices.map { if (read[it] == null) "O" else config.labels[best(shares[it])] }
        return Labelled(labels, shares.map { it[best(it)] })
    }

    /** The inputs of words: several windows where they are many. Of a whole text, the beginning is read. */
    fun rows(words: List<String>): List<Row> {
        val pieces = words.map { tokenizer.encode(it) }
        val room = config.maxTokens - 2
        if (config.unit == LabelledUnit.TEXT) {
            return listOf(Row(framed(pieces.flatten().take(room)), listOf(0), listOf(0)))
        }
        val counts = IntArray(pieces.size) { pieces[it].size }
        return windows(counts, room, minOf(OVERLAP, room / 4)).map { row(pieces, it, room) }
    }

    private fun row(pieces: List<List<Int>>, window: Window, room: Int): Row {
        val ids = ArrayList<Int>()
        val (words, firsts) = Pair(ArrayList<Int>(), ArrayList<Int>())
        for (word in window.start until window.end) {
            if (word in window.keepStart until window.keepEnd && pieces[word].isNotEmpty()) {
                words.add(word)
                firsts.add(ids.size + 1)
            }
            ids.addAll(pieces[word])
        }
        return Row(framed(ids.take(room)), words, firsts)
    }

    private fun framed(ids: List<Int>): List<Int> = listOf(config.frame.start) + ids + config.frame.end

    /** Logits of every place; null where it was not read. */
    private fun read(rows: List<Row>, places: Int, tick: (Int, Int) -> Unit = { _, _ -> }): List<FloatArray?> {
        val found = arrayOfNulls<FloatArray>(places)
        for ((done, row) in rows.withIndex()) {
            val logits = forward(LongArray(row.ids.size) { row.ids[it].toLong() })
            row.words.forEachIndexed { index, word -> found[word] = logits[row.firsts[index]] }
            tick(done + 1, rows.size)
        }
        return found.asList()
    }

    private fun nothing() = FloatArray(config.labels.size)
}

/** Entities of labelled words; an I- that continues nothing of its type starts one, as seqeval counts them. */
internal fun entities(text: String, words: List<Word>, labelled: Labelled): List<Entity> {
    val found = ArrayList<Entity>()
    var (first, kind) = Pair(0, "")
    for ((place, label) in (labelled.labels + "O").withIndex()) {
        val prefix = label.substringBefore("-")
        val here = label.substringAfter("-", "")
        if (kind.isNotEmpty() && (prefix != "I" || here != kind)) {
            val score = labelled.scores.subList(first, place).sum() / (place - first)
            val (start, end) = Pair(words[first].start, words[place - 1].end)
            found.add(Entity(kind, slice(text, start, end), start, end, rounded(score)))
        }
        if (prefix == "O") {
            kind = ""
        } else if (prefix == "B" || here != kind) {
            first = place
            kind = here
        }
    }
    return found
}

/** Probabilities of all labels. */
private fun shares(logits: FloatArray): List<Double> {
    val most = logits.reduce { high, value -> maxOf(high, value) }
    val raised = logits.map { Math.exp((it - most).toDouble()) }
    return raised.map { it / raised.sum() }
}

private fun best(shares: List<Double>): Int =
    shares.indices.reduce { top, index -> if (shares[index] > shares[top]) index else top }

private fun rounded(value: Double): Double = rounded(value, 4)

/** As Python's round(): to the nearest, of two as near the even one. */
internal fun rounded(value: Double, digits: Int): Double =
    BigDecimal(value).setScale(digits, RoundingMode.HALF_EVEN).toDouble()
