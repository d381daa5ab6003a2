/* Unigram: text is cut along the path of pieces with the highest sum of scores (Kudo 2018, arXiv:1804.10959). */
package org.edgeafri.core

/** Pieces with a score each. What no piece covers is one unknown piece, however long. */
internal class Unigram private constructor(
    private val pieces: List<String>,
    private val scores: DoubleArray,
    val unknown: Int
) {
    val size: Int get() = pieces.size
    private val ids = pieces.withIndex().associateTo(HashMap(2 * pieces.size)) { (id, piece) -> piece to id }
    private val longest = pieces.fold(1) { most, piece -> maxOf(most, piece.length) }
    private val unknownScore = scores.reduce { least, score -> minOf(least, score) } - UNKNOWN_PENALTY

    fun piece(id: Int): String = pieces.getOrElse(id) { "" }

    /** The ids of a text; of paths with equal sums the first that is found from the left. */
    fun encode(text: String): List<Int> {
        val best = DoubleArray(text.length + 1)
        val from = IntArray(text.length + 1) { -1 }
        val id = IntArray(text.length + 1)

        fun offer(start: Int, end: Int, piece: Int, score: Double) {
            val sum = best[start] + score
            if (from[end] >= 0 && sum <= best[end]) return
            best[end] = sum
            from[end] = start
            id[end] = piece
        }

        var start = 0
        while (start < text.length) {
            val next = start + Character.charCount(text.codePointAt(start))
            for (end in start + 1..minOf(text.length, start + longest)) {
                val piece = ids[text.substring(start, end)] ?: continue
                offer(start, end, piece, scores[piece])
            }
            if (ids[text.substring(start, next)] == null) offer(start, next, unknown, unknownScore)
            start = next
        }
        return path(from, id)
    }

    /** The pieces that lead to the end, neighbouring unknown ones as one. */
    private fun path(from: IntArray, id: IntArray): List<Int> {
        val found = ArrayList<Int>()
        var end = from.size - 1
        while (end > 0) {
            if (id[end] != unknown || found.lastOrNull() != unknown) found.add(id[end])
            end = from[end]
        }
        return found.asReversed()
    }

    companion object {
        private const val UNKNOWN_PENALTY = 10.0 // what SentencePiece takes off the lowest score

        fun read(json: Json): Unigram {
            val kind = if ("type" in json) json["type"].text else "Legacy"
            if (kind != "Unigram") throw refused(kind)
            if ("byte_fallback" in json && json["byte_fallback"].flag) throw refused("Unigram with byte fallback")
            if (json["unk_id"].isNull) throw refused("Unigram without unknown piece")
            val vocabulary = json["vocab"].items.map { it.items }
            val scores = DoubleArray(vocabulary.size) { vocabulary[it][1].number }
            return Unigram(vocabulary.map { it[0].text }, scores, json["unk_id"].int)
        }

        private fun refused(kind: String) = unknown("a model", kind)
    }
}
