/* Text as edgeafri/data/text.py sees it: NFC, the one word splitter with offsets in code points, and windows. */
package org.edgeafri.core

import java.text.Normalizer

/** A word as models read it, and its place in what the user typed, in code points. */
data class Word(val text: String, val start: Int, val end: Int)

/** Words [start, end) are read together; the labels of [keepStart, keepEnd) are taken from this reading. */
data class Window(val start: Int, val end: Int, val keepStart: Int, val keepEnd: Int)

fun nfc(text: String): String = Normalizer.normalize(text, Normalizer.Form.NFC)

/** The words of raw text, in order; see split_words for what stays whole. */
fun splitWords(text: String): List<Word> {
    val codes = codePoints(text)
    val shape = String(CharArray(codes.size) { kind(codes[it]) })
    return WORD.findAll(shape).map { Word(clean(codes, shape, it.range), it.range.first, it.range.last + 1) }.toList()
}

/** What stands between the spaces of a text that is labelled as a whole, without what nobody sees. */
fun spacedWords(text: String): List<String> {
    val codes = codePoints(text)
    val shape = String(CharArray(codes.size) { if (isSpace(codes[it])) ' ' else kind(codes[it]) })
    return PART.findAll(shape).map { clean(codes, shape, it.range) }.filter { it.isNotEmpty() }.toList()
}

/** `text[start:end]` where both count code points. */
fun slice(text: String, start: Int, end: Int): String {
    val from = text.offsetByCodePoints(0, start)
    return text.substring(from, text.offsetByCodePoints(from, end - start))
}

fun codePoints(text: String): IntArray {
    val found = IntArray(text.codePointCount(0, text.length))
    var at = 0
    for (index in found.indices) {
        found[index] = text.codePointAt(at)
        at += Character.charCount(found[index])
    }
    return found
}

/** What Python's str.isspace() and str.split() take for a space. */
fun isSpace(code: Int): Boolean = isWhite(code) || code in 0x1c..0x1f

/** Unicode's property White_Space. */
fun isWhite(code: Int): Boolean =
    code in 0x9..0xd || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 || code in 0x2000..0x200a ||
        code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000

/** NFC without zero-width characters, direction marks, control characters and lone surrogates. */
private fun clean(codes: IntArray, shape: String, range: IntRange): String {
    val kept = StringBuilder()
    for (index in range) if (shape[index] != 'i' && shape[index] != 'c') kept.appendCodePoint(codes[index])
    return nfc(kept.toString())
}

/**
 * One letter for the kind of a character: w letter or number, m mark, ' apostrophe, j joiner, i invisible, c control
 * that separates, e skin tone, r half a flag, x other; a space and : / " ፡ stand for themselves.
 */
private fun kind(code: Int): Char {
    val category = Character.getType(code)
    return when {
        category == CONTROL -> if (isSpace(code)) 'c' else 'i'
        code in 0xe0020..0xe007f -> 'm' // the tags that spell the flag of a region
        code in 0x1f1e6..0x1f1ff -> 'r'
        code in 0x1f3fb..0x1f3ff -> 'e'
        else -> SPECIAL[code] ?: CATEGORIES[category] ?: 'x'
    }
}

/**
 * Cut a sentence whose words have `pieces` sub-words into windows of at most `limit` sub-words. Neighbours share at
 * most `overlap` sub-words. Every word is kept once, by the window where it is farther from an edge.
 */
fun windows(pieces: IntArray, limit: Int, overlap: Int): List<Window> {
    val before = IntArray(pieces.size + 1)
    for (word in pieces.indices) before[word + 1] = before[word] + pieces[word]
    val spans = spans(before, limit, overlap)
    val borders = spans.zip(spans.drop(1)) { (_, end), (start, _) -> border(before, end, start) }
    return spans.mapIndexed { index, (start, end) ->
        Window(start, end, if (index == 0) 0 else borders[index - 1], borders.getOrElse(index) { pieces.size })
    }
}

/** Start and end of every window; `before[word]` counts the sub-words that stand before a word. */
private fun spans(before: IntArray, limit: Int, overlap: Int): List<Pair<Int, Int>> {
    val words = before.size - 1
    val found = ArrayList<Pair<Int, Int>>()
    var start = 0
    var end = 0
    while (end < words) {
        while (start < end && (before[end] - before[start] > overlap || before[end + 1] - before[start] > limit)) {
            start += 1
        }
        end += 1
        while (end < words && before[end + 1] - before[start] <= limit) end += 1
        found.add(Pair(start, end))
    }
    return found
}

/** The first word of the overlap [start, end) with more context in the later window than in the earlier one. */
private fun border(before: IntArray, end: Int, start: Int): Int =
    (start until end).firstOrNull { before[it] - before[start] > before[end] - before[it + 1] } ?: end

private const val CONTROL = 15 // Character.CONTROL is a Byte
private const val APOSTROPHES = "'`´‘’‛′"
private const val JOINERS = "\u200c\u200d"
private const val INVISIBLE =
    "\u00ad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
private val SPECIAL: Map<Int, Char> =
    kinds(APOSTROPHES) { '\'' } + kinds(JOINERS) { 'j' } + kinds(INVISIBLE) { 'i' } + kinds(":/\"፡") { it }

private fun kinds(letters: String, kind: (Char) -> Char): Map<Int, Char> =
    letters.indices.associate { letters.codePointAt(it) to kind(letters[it]) }

/** By Character.getType: letters and numbers, marks, separators, lone surrogates. */
private val CATEGORIES: Map<Int, Char> =
    listOf(1, 2, 3, 4, 5, 9, 10, 11).associateWith { 'w' } +
        listOf(6, 7, 8).associateWith { 'm' } + listOf(12, 13, 14).associateWith { ' ' } + mapOf(19 to 'i')

// Possessive quantifiers give up nothing here, and keep Java's engine from one stack frame a character.
private val WORD = Regex(
    "w+://[^ c]*[w/]" + // a link, up to its last letter, number or slash
        "|[wm'](?:[ij]*+[wm'])*+" +
        "|\"+" +
        "|rr?m*+" +
        "|፡፡+|(?<![^ c])፡(?![^ c])" +
        "|[x:/e]m*+e?+(?:jxm*+e?+)*+"
)
private val PART = Regex("[^ ]+")
