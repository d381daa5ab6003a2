/* Bundle: the folder that `edgeafri build` made, checked against its manifest, and put where a runtime can open it. */
package org.edgeafri.core

import java.io.File
import java.io.IOException
import java.io.InputStream
import java.security.MessageDigest

/** A file as the manifest knows it. */
class Entry(val sha256: String, val bytes: Long)

/** manifest.json: the bundle's id, its files, and the numbers that an estimate of its speed is made from. */
class Manifest(val id: String, val files: Map<String, Entry>, val facts: Map<String, Json>)

/** The ids that every input starts and ends with, and the padding. */
class Frame(val start: Int, val end: Int, val pad: Int)

/** bundle.json. `maxTokens` counts start and end; `threads` and `prepack` are what the runtime starts with. */
class Config(
    val task: String,
    val unit: LabelledUnit,
    val labels: List<String>,
    val languages: List<String>,
    val maxTokens: Int,
    val frame: Frame,
    val threads: Int,
    val prepack: Boolean,
    val sample: Boolean
)

/** What has a label: every word of a text, or the text. */
enum class LabelledUnit { WORD, TEXT }

/** A sentence of the project's own with what every device must compute for it. */
class Golden(val language: String, val text: String, val ids: List<Int>, val labels: List<String>)

/** An open bundle: everything but the graph, whose path is `graph`. */
class Bundle(
    val manifest: Manifest,
    val config: Config,
    val tokenizer: Tokenizer,
    val tokenizerMs: Double,
    val golden: List<Golden>,
    val card: String,
    val graph: File
)

private const val MANIFEST = "manifest.json"
private const val MANIFEST_SCHEMA = 1
private const val CONFIG_SCHEMA = 2
private val UNITS = mapOf("ner" to LabelledUnit.WORD, "sentiment" to LabelledUnit.TEXT, "topic" to LabelledUnit.TEXT)

/** Check every file of a folder against its manifest and read it; BundleError for what is not right. */
fun openBundle(folder: File): Bundle {
    val manifest = readManifest(read(folder, MANIFEST))
    for ((name, entry) in manifest.files) check(name, entry, digest(stream(folder, name)) { _, _ -> })
    return opened(folder, manifest)
}

/**
 * Copy a bundle into a folder named after its id below `root`, checking every byte on the way, and read it. `source`
 * opens a file of the bundle by its name. What was copied before is checked again; other bundles there are removed.
 */
fun installBundle(source: (String) -> InputStream, root: File): Bundle {
    val text = from(MANIFEST, source).use { it.readBytes() }
    val manifest = readManifest(String(text))
    val folder = File(root, manifest.id)
    try {
        return openBundle(folder)
    } catch (error: BundleError) {
        root.deleteRecursively() // not there, of another bundle, or cut off: copied anew
    }
    try {
        for ((name, entry) in manifest.files) copy(name, entry, source, folder)
        File(folder, MANIFEST).writeBytes(text) // last: a folder without it is not a bundle
    } catch (error: IOException) {
        throw BundleError("$folder: cannot be written (${error.message})", "Free some space and try again.")
    }
    return opened(folder, manifest)
}

private fun copy(name: String, entry: Entry, source: (String) -> InputStream, folder: File) {
    val stream = from(name, source)
    val file = File(folder, name).also { it.parentFile.mkdirs() }
    check(name, entry, file.outputStream().use { out -> digest(stream) { part, size -> out.write(part, 0, size) } })
}

private fun opened(folder: File, manifest: Manifest): Bundle {
    val card = if ("card.md" in manifest.files) read(folder, "card.md") else ""
    val golden = if ("golden.jsonl" in manifest.files) readGolden(read(folder, "golden.jsonl")) else listOf()
    val config = readConfig(read(folder, "bundle.json"))
    val began = System.nanoTime()
    val tokenizer = Tokenizer.read(read(folder, "tokenizer.json"))
    val tokenizerMs = (System.nanoTime() - began) / 1e6
    return Bundle(manifest, config, tokenizer, tokenizerMs, golden, card, File(folder, "model.onnx"))
}

/** The manifest in `text`, refused where it was changed after it was sealed. */
internal fun readManifest(text: String): Manifest {
    val json = Json.read(text, MANIFEST)
    refuseNewer(MANIFEST, json["schema"].int, MANIFEST_SCHEMA)
    if (json["kind"].text != "bundle") throw BundleError("$MANIFEST: holds ${json["kind"].text}, not a bundle", GIVE)
    val sealed = hex(MessageDigest.getInstance("SHA-256").digest(json.canonical(left = "id").toByteArray())).take(ID)
    if (json["id"].text != sealed) throw BundleError("$MANIFEST: changed after it was sealed", AGAIN)
    val files = json["files"].fields.mapValues { (name, entry) ->
        if (name.startsWith("/") || ".." in name.split("/")) {
            throw BundleError("$MANIFEST: names a file outside its folder ($name)", AGAIN)
        }
        Entry(entry["sha256"].text, entry["bytes"].long)
    }
    return Manifest(sealed, files, json["facts"].fields)
}

/** The bundle.json in `text`. */
internal fun readConfig(text: String): Config {
    val json = Json.read(text, "bundle.json")
    refuseNewer("bundle.json", json["schema"].int, CONFIG_SCHEMA)
    val (task, form) = Pair(json["task"].text, json["normalization"].text)
    val unit = UNITS[task] ?: throw BundleError("bundle.json: this app knows no task '$task'", UPDATE)
    if (form != "NFC") throw BundleError("bundle.json: this app knows no normalization '$form'", UPDATE)
    val frame = json["frame"]
    return Config(
        task,
        unit,
        json["labels"].items.map { it.text },
        json["languages"].items.map { it.text },
        json["max_tokens"].int,
        Frame(frame["start"].int, frame["end"].int, frame["pad"].int),
        json["threads"].int,
        "prepack" !in json || json["prepack"].flag, // schema 1 had no such line
        json["sample"].flag
    )
}

private fun readGolden(text: String): List<Golden> =
    text.split("\n").filter { it.isNotEmpty() }.map { line ->
        val json = Json.read(line, "golden.jsonl")
        val ids = json["ids"].items.map { it.int }
        Golden(json["language"].text, json["text"].text, ids, json["labels"].items.map { it.text })
    }

private fun refuseNewer(name: String, schema: Int, known: Int) {
    if (schema > known) throw BundleError("$name: made for schema $schema, this app reads $known", UPDATE)
}

private fun read(folder: File, name: String): String = String(stream(folder, name).use { it.readBytes() })

private fun stream(folder: File, name: String): InputStream = from(name) { File(folder, it).inputStream() }

private fun from(name: String, source: (String) -> InputStream): InputStream =
    try {
        source(name)
    } catch (error: IOException) {
        throw BundleError("$name: missing", AGAIN)
    }

/** The hash and size of all that `source` gives, each part handed on as it is read. */
private fun digest(source: InputStream, pass: (ByteArray, Int) -> Unit): Entry {
    val hash = MessageDigest.getInstance("SHA-256")
    val part = ByteArray(PART)
    var bytes = 0L
    source.use {
        while (true) {
            val size = it.read(part)
            if (size < 0) break
            hash.update(part, 0, size)
            pass(part, size)
            bytes += size
        }
    }
    return Entry(hex(hash.digest()), bytes)
}

private fun check(name: String, wanted: Entry, found: Entry) {
    if (found.bytes != wanted.bytes) {
        throw BundleError("$name: ${found.bytes} bytes, the manifest says ${wanted.bytes}", AGAIN)
    }
    if (found.sha256 != wanted.sha256) {
        throw BundleError("$name: content changed since it was sealed (sha256 differs)", AGAIN)
    }
}

private fun hex(bytes: ByteArray): String = bytes.joinToString("") { String.format("%02x", it) }

private const val ID = 16
private const val PART = 1 shl 16
private const val GIVE = "Give the folder that `edgeafri build` printed."
private const val UPDATE = "Update the app."
