/* Doubts: whether a text is of a kind that the model did not learn, so that the reader is told. */
package org.edgeafri.core

import java.lang.Character.UnicodeScript

/** Most letters are in a strange script, or most words have an unknown sub-word. */
enum class Doubt { NONE, SCRIPT, PIECES }

/** What is strange is told from the bundle's golden sentences: the model knows their scripts. */
class Doubts(bundle: Bundle) {
    private val tokenizer = bundle.tokenizer
    private val known = bundle.golden.flatMap { scripts(it.text) }.toSet()

    fun of(text: String, words: List<String>): Doubt {
        val scripts = scripts(text)
        return when {
            known.isNotEmpty() && scripts.count { it !in known } > MOST * scripts.size -> Doubt.SCRIPT
            words.count { tokenizer.unknown in tokenizer.encode(it) } > MOST * words.size -> Doubt.PIECES
            else -> Doubt.NONE
        }
    }
}

/** The script of every letter that belongs to one. */
private fun scripts(text: String): List<UnicodeScript> =
    codePoints(text).filter { Character.isLetter(it) }.map { UnicodeScript.of(it) }.filter { it !in SHARED }

private const val MOST = 0.5 // foreign names are normal
private val SHARED = setOf(UnicodeScript.COMMON, UnicodeScript.INHERITED)
