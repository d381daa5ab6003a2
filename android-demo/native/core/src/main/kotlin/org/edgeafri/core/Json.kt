/* JSON, read strictly: what is missing or of another kind is a BundleError that names the file and the place. */
package org.edgeafri.core

/** A failure with a next step: `message` says what is wrong and where, `hint` what to do about it. */
class BundleError(override val message: String, val hint: String) : Exception(message)

/** A number as it is written, so that a file's own digits can be written again. */
class Digits(val text: String)

/** A value and where it stands. Objects keep the order of their keys. */
class Json(private val value: Any?, private val place: String) {
    val isNull: Boolean get() = value == null
    val text: String get() = value as? String ?: refuse("text")
    val flag: Boolean get() = value as? Boolean ?: refuse("true or false")
    val digits: Digits? get() = value as? Digits
    val number: Double get() = (value as? Digits)?.text?.toDoubleOrNull() ?: refuse("a number")
    val int: Int get() = (value as? Digits)?.text?.toIntOrNull() ?: refuse("a whole number")
    val long: Long get() = (value as? Digits)?.text?.toLongOrNull() ?: refuse("a whole number")
    val items: List<Json> get() = (value as? List<*> ?: refuse("a list")).map { Json(it, place) }
    val fields: Map<String, Json> get() = entries.mapValues { (key, item) -> Json(item, "$place, '$key'") }

    private val entries: Map<String, Any?>
        @Suppress("UNCHECKED_CAST")
        get() = value as? Map<String, Any?> ?: refuse("an object")

    operator fun contains(key: String): Boolean = key in entries

    operator fun get(key: String): Json {
        if (key !in this) throw BundleError("$place: '$key' is missing", AGAIN)
        return Json(entries[key], "$place, '$key'")
    }

    /** The value as Python's json.dumps(sort_keys=True, ensure_ascii=False) writes it, without `left` at the top. */
    fun canonical(left: String): String = StringBuilder().also { write(it, entries - left) }.toString()

    private fun refuse(kind: String): Nothing = throw BundleError("$place: is not $kind", AGAIN)

    companion object {
        /** The JSON document in `text`; `place` names it in messages. */
        fun read(text: String, place: String): Json = Json(Reader(text, place).document(), place)
    }
}

internal const val AGAIN = "Copy the bundle again from where it was made, or build it again."

/** JSON text of maps, lists, text, numbers, booleans and null; keys in the order given. */
fun jsonText(value: Any?): String = StringBuilder().also { write(it, value, sorted = false) }.toString()

private fun write(out: StringBuilder, value: Any?, sorted: Boolean = true) {
    when (value) {
        is Map<*, *> -> {
            val keys = value.keys.map { it as String }
            val parts = (if (sorted) keys.sorted() else keys).map { it to value[it] }
            list(out, parts, "{", "}") { (key, item) ->
                quote(out, key)
                out.append(": ")
                write(out, item, sorted)
            }
        }
        is Iterable<*> -> list(out, value, "[", "]") { write(out, it, sorted) }
        is String -> quote(out, value)
        is Digits -> out.append(value.text)
        else -> out.append(value)
    }
}

private fun <T> list(out: StringBuilder, items: Iterable<T>, open: String, close: String, each: (T) -> Unit) {
    out.append(open)
    items.forEachIndexed { index, item ->
        if (index > 0) out.append(", ")
        each(item)
    }
    out.append(close)
}

private fun quote(out: StringBuilder, text: String) {
    out.append('"')
    for ((index, letter) in text.withIndex()) {
        val name = NAMED.indexOf(letter)
        when {
            name >= 0 -> out.append('\\').append(NAMES[name])
            letter < ' ' -> out.append("\\u").append(String.format("%04x", text.codePointAt(index)))
            else -> out.append(letter)
        }
    }
    out.append('"')
}

private const val NAMED = "\"\\\n\r\t\b\u000c"
private const val NAMES = "\"\\nrtbf"
private const val DEEPEST = 64

private class Reader(private val text: String, private val place: String) {
    private var at = 0
    private var depth = 0

    fun document(): Any? {
        val value = value()
        skip()
        if (at < text.length) refuse()
        return value
    }

    private fun value(): Any? {
        skip()
        return when (peek()) {
            '{' -> nested { entries() }
            '[' -> nested { elements() }
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> digits()
        }
    }

    private fun <T> nested(read: () -> T): T {
        if (++depth > DEEPEST) refuse()
        at += 1
        return read().also { depth -= 1 }
    }

    private fun entries(): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        each('}') {
            skip()
            val key = string()
            expect(':')
            found[key] = value()
        }
        return found
    }

    private fun elements(): List<Any?> {
        val found = ArrayList<Any?>()
        each(']') { found.add(value()) }
        return found
    }

    private fun each(close: Char, read: () -> Unit) {
        skip()
        if (peek() == close) {
            at += 1
            return
        }
        while (true) {
            read()
            skip()
            if (peek() == close) break
            expect(',')
        }
        at += 1
    }

    private fun string(): String {
        expect('"')
        val out = StringBuilder()
        while (true) {
            val letter = peek()
            at += 1
            when {
                letter == '"' -> return out.toString()
                letter == '\\' -> out.append(escaped())
                letter < ' ' -> refuse()
                else -> out.append(letter)
            }
        }
    }

    private fun escaped(): Char {
        val letter = peek()
        at += 1
        if (letter == '/') return letter
        if (letter != 'u') return NAMED[NAMES.indexOf(letter).also { if (it < 0) refuse() }]
        if (at + 4 > text.length) refuse()
        val code = text.substring(at, at + 4).toIntOrNull(16) ?: refuse()
        at += 4
        return String(Character.toChars(code))[0]
    }

    private fun digits(): Digits {
        val start = at
        while (at < text.length && text[at] in "+-.0123456789eE") at += 1
        val found = text.substring(start, at)
        found.toDoubleOrNull() ?: refuse()
        return Digits(found)
    }

    private fun <T> word(name: String, meaning: T): T {
        if (!text.startsWith(name, at)) refuse()
        at += name.length
        return meaning
    }

    private fun expect(letter: Char) {
        skip()
        if (peek() != letter) refuse()
        at += 1
    }

    private fun skip() {
        while (at < text.length && text[at] in " \n\r\t") at += 1
    }

    private fun peek(): Char = if (at < text.length) text[at] else refuse()

    private fun refuse(): Nothing = throw BundleError("$place: is not JSON (character ${at + 1})", AGAIN)
}
