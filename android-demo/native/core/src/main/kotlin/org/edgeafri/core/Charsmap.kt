/* Charsmap: SentencePiece's compiled normalization, as `Precompiled` of the tokenizers library reads it. */
package org.edgeafri.core

import java.util.Base64

/**
 * A trie of UTF-8 keys in the layout of darts-clone, then the replacements, each ended by a zero byte.
 *
 * The runtime replaces whole graphemes of less than six bytes by the entry of their shortest known beginning, and all
 * else character by character. That drops marks behind a letter that has an entry, which is why NFC comes first; it is
 * done here in the same way, because ids must be equal.
 */
class Charsmap(encoded: String) {
    private val trie: IntArray
    private val replacements: ByteArray

    init {
        val bytes = decoded(encoded)
        val size = if (bytes.size < 4) -1 else word(bytes, 0)
        if (size < 4 || size % 4 != 0 || size + 4 > bytes.size) throw damaged()
        trie = IntArray(size / 4) { word(bytes, 4 + 4 * it) }
        replacements = bytes.copyOfRange(4 + size, bytes.size)
    }

    fun normalize(text: String): String {
        val out = StringBuilder()
        for (cluster in clusters(text)) {
            val whole = if (utf8Length(cluster) < 6) replacement(cluster) else null
            if (whole != null) out.append(whole) else eachCharacter(cluster) { out.append(replacement(it) ?: it) }
        }
        return out.toString()
    }

    private fun replacement(text: String): String? {
        val start = shortestKey(text.toByteArray()) ?: return null
        var end = start
        while (end < replacements.size && replacements[end] != 0.toByte()) end += 1
        return String(replacements, start, end - start)
    }

    /** Where the replacement of the shortest key stands that `bytes` begin with; null where none does. */
    private fun shortestKey(bytes: ByteArray): Int? {
        var node = offset(trie[0])
        for (byte in bytes) {
            val letter = byte.toInt() and 0xff
            node = node xor letter
            val unit = trie.getOrElse(node) { return null }
            if (unit and LABEL != letter) return null
            node = node xor offset(unit)
            if (unit and HAS_LEAF != 0) return trie.getOrElse(node) { throw damaged() } and Int.MAX_VALUE
        }
        return null
    }

    private fun offset(unit: Int): Int = (unit ushr 10) shl ((unit and 0x200) ushr 6)

    private fun decoded(encoded: String): ByteArray =
        try {
            Base64.getDecoder().decode(encoded)
        } catch (error: IllegalArgumentException) {
            throw damaged()
        }

    private fun word(bytes: ByteArray, at: Int): Int =
        (0..3).fold(0) { sum, index -> sum or ((bytes[at + index].toInt() and 0xff) shl (8 * index)) }

    private fun damaged() = BundleError("tokenizer.json: its table of characters is damaged", AGAIN)

    private companion object {
        const val LABEL = Int.MIN_VALUE or 0xff
        const val HAS_LEAF = 0x100
    }
}

private inline fun eachCharacter(text: String, use: (String) -> Unit) {
    var at = 0
    while (at < text.length) {
        val end = at + Character.charCount(text.codePointAt(at))
        use(text.substring(at, end))
        at = end
    }
}

private fun utf8Length(text: String): Int = text.toByteArray().size

/**
 * Graphemes (Unicode Standard Annex 29), as far as they matter above: those that differ are of six bytes or more, or
 * begin with what no table has an entry for. That leaves out conjoining Hangul, flags and joined emoji.
 */
internal fun clusters(text: String): List<String> {
    val found = ArrayList<String>()
    var start = 0
    var at = 0
    var before = Role.CONTROL
    while (at < text.length) {
        val code = text.codePointAt(at)
        val role = role(code)
        val joins = before != Role.CONTROL && (role == Role.EXTEND || before == Role.PREPEND && role != Role.CONTROL)
        if (!joins && at > start) {
            found.add(text.substring(start, at))
            start = at
        }
        before = role
        at += Character.charCount(code)
    }
    if (at > start) found.add(text.substring(start, at))
    return found
}

private enum class Role { CONTROL, PREPEND, EXTEND, OTHER }

private fun role(code: Int): Role =
    when {
        code in PREPENDS -> Role.PREPEND
        code in EXTENDING || code in 0x1f3fb..0x1f3ff || code in 0xe0020..0xe007f -> Role.EXTEND
        code in NOT_SPACING -> Role.OTHER
        else -> ROLES[Character.getType(code)] ?: Role.OTHER
    }

private val PREPENDS =
    (0x600..0x605).toSet() + setOf(0x6dd, 0x70f, 0x890, 0x891, 0x8e2, 0xd4e, 0x110bd, 0x110cd, 0x111c2, 0x111c3)
private val EXTENDING = setOf(0x200c, 0x200d, 0xe33, 0xeb3, 0xff9e, 0xff9f)
private val NOT_SPACING =
    setOf(0x102b, 0x102c, 0x1038, 0x1083, 0x108f, 0x1a61, 0x1a63, 0x1a64, 0xaa7b, 0xaa7d) +
        (0x1062..0x1064) + (0x1067..0x106d) + (0x1087..0x108c) + (0x109a..0x109c)

/** By Character.getType: marks extend; line and paragraph separators, control and format characters stand alone. */
private val ROLES: Map<Int, Role> =
    listOf(6, 7, 8).associateWith { Role.EXTEND } + listOf(13, 14, 15, 16, 19).associateWith { Role.CONTROL }
