/* Tokenizer: words to ids by a Unigram tokenizer.json (XLM-R, AfriBERTa), equal to the runtime's. */
package org.edgeafri.core

/** Ids of words. The other families of tokenizers are refused: the web page of this project reads them. */
class Tokenizer private constructor(
    private val normalize: (String) -> String,
    private val pretokenize: (List<String>) -> List<String>,
    private val unigram: Unigram,
    private val raw: AddedTokens,
    private val normalized: AddedTokens
) {
    val unknown: Int get() = unigram.unknown
    val size: Int get() = maxOf(unigram.size, raw.size, normalized.size)

    /** The ids of one word, without start and end. Tokens such as `<mask>` are found in it, as the runtime does. */
    fun encode(word: String): List<Int> =
        raw.cut(word).flatMap { part -> part.id?.let { listOf(it) } ?: encodeText(normalize(part.text)) }

    /** The text that ids spell. */
    fun decode(ids: Iterable<Int>): String =
        ids.joinToString("") { unigram.piece(it) }.replace(SPACE, " ").trim()

    private fun encodeText(text: String): List<Int> =
        normalized.cut(text).flatMap { part ->
            part.id?.let { listOf(it) } ?: pretokenize(listOf(part.text)).flatMap { unigram.encode(it) }
        }

    companion object {
        /** The tokenizer of a tokenizer.json; BundleError where it is of a kind that is not read here. */
        fun read(text: String): Tokenizer {
            val json = Json.read(text, FILE)
            for (name in listOf("truncation", "padding")) if (!json[name].isNull) throw unknown("a setting", name)
            val normalize = normalizer(json["normalizer"])
            val added = json["added_tokens"].items
            if (added.any { it["single_word"].flag }) throw unknown("a token", "single word")
            val (normalized, raw) = added.partition { it["normalized"].flag }
            return Tokenizer(
                normalize,
                pretokenizer(json["pre_tokenizer"]),
                Unigram.read(json["model"]),
                AddedTokens(raw) { it },
                AddedTokens(normalized, normalize)
            )
        }
    }
}

private const val FILE = "tokenizer.json"
private const val SPACE = "▁"

internal fun unknown(part: String, kind: String): BundleError {
    val hint = "This app reads Unigram tokenizers (XLM-R, AfriBERTa). Use the web page: edgeafri serve BUNDLE"
    return BundleError("$FILE: $part of kind '$kind' is not read by this app", hint)
}

/** Text to text. What another program would do and this one cannot is refused, never left out. */
private fun normalizer(json: Json): (String) -> String {
    if (json.isNull) return { it }
    val kind = json["type"].text
    if (kind == "Sequence") {
        val steps = json["normalizers"].items.map { normalizer(it) }
        return { text -> steps.fold(text) { done, step -> step(done) } }
    }
    return when (kind) {
        "NFC" -> ::nfc
        "Precompiled" -> Charsmap(json["precompiled_charsmap"].text)::normalize
        "Strip" -> strip(json["strip_left"].flag, json["strip_right"].flag)
        "Replace" -> replace(json)
        else -> throw unknown("a normalizer", kind)
    }
}

private fun strip(left: Boolean, right: Boolean): (String) -> String = { text ->
    val codes = codePoints(text)
    val from = if (left) codes.indexOfFirst { !isWhite(it) }.let { if (it < 0) codes.size else it } else 0
    val to = if (right) maxOf(from, codes.indexOfLast { !isWhite(it) } + 1) else codes.size
    slice(text, from, to)
}

/** Plain text, or the one pattern that converted SentencePiece models carry. */
private fun replace(json: Json): (String) -> String {
    val (pattern, content) = Pair(json["pattern"], json["content"].text)
    if ("String" in pattern) return { it.replace(pattern["String"].text, content) }
    val expression = pattern["Regex"].text
    if (expression != " {2,}") throw unknown("a replacement", expression)
    return { SPACES.replace(it) { content } }
}

private val SPACES = Regex(" {2,}")

/** Pieces of a word to pieces of it. */
private fun pretokenizer(json: Json): (List<String>) -> List<String> {
    val kind = json["type"].text
    if (kind == "Sequence") {
        val steps = json["pretokenizers"].items.map { pretokenizer(it) }
        return { parts -> steps.fold(parts) { done, step -> step(done) } }
    }
    if (kind == "WhitespaceSplit") return { parts -> parts.flatMap { splitAtSpaces(it) } }
    if (kind == "Metaspace") return metaspace(json)
    throw unknown("a pre-tokenizer", kind)
}

private fun splitAtSpaces(text: String): List<String> {
    val marked = StringBuilder()
    codePoints(text).forEach { marked.appendCodePoint(if (isWhite(it)) 0x20 else it) }
    return marked.split(' ').filter { it.isNotEmpty() }
}

private fun metaspace(json: Json): (List<String>) -> List<String> {
    val (mark, scheme, split) = Triple(json["replacement"].text, json["prepend_scheme"].text, json["split"].flag)
    if (mark != SPACE || scheme != "always") throw unknown("a pre-tokenizer", "Metaspace $mark $scheme")
    return { parts ->
        val marked = parts.filter { it.isNotEmpty() }.map { it.replace(" ", mark) }
        val begun = marked.map { if (it.startsWith(mark)) it else mark + it }
        if (split) begun.flatMap { part -> part.split(BEFORE_SPACE).filter { it.isNotEmpty() } } else begun
    }
}

private val BEFORE_SPACE = Regex("(?=$SPACE)")

/** A part of a text: a token's id, or text between tokens. */
private class Part(val text: String, val id: Int?)

/** Tokens that are found in text before anything else is done: from the left, the longest first. */
private class AddedTokens(tokens: List<Json>, normalize: (String) -> String) {
    private val ids = tokens.associate { normalize(it["content"].text) to it }.filterKeys { it.isNotEmpty() }
    private val pattern = Regex(ids.keys.sortedByDescending { it.length }.joinToString("|") { Regex.escape(it) })
    val size = (tokens.map { it["id"].int } + -1).reduce { most, id -> maxOf(most, id) } + 1

    fun cut(text: String): List<Part> {
        if (ids.isEmpty()) return listOf(Part(text, null))
        val found = ArrayList<Part>()
        var at = 0
        for (match in pattern.findAll(text)) {
            val token = ids.getValue(match.value)
            var (start, end) = Pair(match.range.first, match.range.last + 1)
            if (start < at) continue
            if (token["lstrip"].flag) while (start > at && isWhite(text.codePointBefore(start))) start -= 1
            if (token["rstrip"].flag) while (end < text.length && isWhite(text.codePointAt(end))) end += 1
            found.add(Part(text.substring(at, start), null))
            found.add(Part("", token["id"].int))
            at = end
        }
        found.add(Part(text.substring(at), null))
        return found.filter { it.id != null || it.text.isNotEmpty() }
    }
}
