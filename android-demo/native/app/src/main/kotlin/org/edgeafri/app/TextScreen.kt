/* TextScreen: a text goes in, its entities or its label come out; and calm words where there is nothing to say. */
package org.edgeafri.app

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.heightIn
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.DropdownMenu
import androidx.compose.material3.DropdownMenuItem
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedButton
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableIntStateOf
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.text.AnnotatedString
import androidx.compose.ui.text.SpanStyle
import androidx.compose.ui.text.buildAnnotatedString
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.text.style.TextOverflow
import androidx.compose.ui.text.withStyle
import androidx.compose.ui.unit.dp
import androidx.compose.ui.unit.em
import kotlin.math.roundToInt
import org.edgeafri.core.Doubt
import org.edgeafri.core.Entity
import org.edgeafri.core.LabelledUnit
import org.edgeafri.core.Verdict

@Composable
fun TextScreen(model: AppModel, open: Opening.Open) {
    val (engine, config) = Pair(open.engine, open.engine.bundle.config)
    var text by rememberSaveable { mutableStateOf("") }
    var language by rememberSaveable { mutableStateOf(config.languages.first()) }
    var next by rememberSaveable { mutableIntStateOf(0) }
    val examples = engine.bundle.golden.filter { it.language == language }

    fun example() {
        if (examples.isEmpty()) return model.show(Answer.NoExample)
        text = examples[next % examples.size].text
        next += 1
        model.read(engine, text)
    }

    Column(Modifier.fillMaxSize()) {
        Box(Modifier.weight(1f).fillMaxWidth().verticalScroll(rememberScrollState()).padding(16.dp)) {
            Answered(model, config.maxTokens)
        }
        Column(Modifier.padding(16.dp), verticalArrangement = Arrangement.spacedBy(8.dp)) {
            OutlinedTextField(
                value = text,
                onValueChange = { text = it },
                modifier = Modifier.fillMaxWidth(),
                label = { Text(stringResource(R.string.your_text)) },
                minLines = 2,
                maxLines = 4
            )
            Row(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
                Languages(config.languages, language, open.languages, Modifier.weight(1f)) {
                    language = it
                    next = 0
                }
                OutlinedButton(onClick = { example() }, modifier = Modifier.weight(1f).heightIn(min = 48.dp)) {
                    Text(stringResource(R.string.example))
                }
            }
            val isReading = model.answer is Answer.Reading
            val verb = if (config.unit == LabelledUnit.WORD) R.string.find else R.string.judge
            MainButton(stringResource(if (isReading) R.string.stop else verb)) {
                if (isReading) model.stop() else model.read(engine, text)
            }
        }
    }
}

@Composable
private fun Languages(
    codes: List<String>,
    chosen: String,
    names: Map<String, String>,
    modifier: Modifier,
    choose: (String) -> Unit
) {
    var isOpen by rememberSaveable { mutableStateOf(false) }
    val about = "${stringResource(R.string.text_language)}: ${names[chosen] ?: chosen}"
    Box(modifier) {
        OutlinedButton(
            onClick = { isOpen = true },
            modifier = Modifier.fillMaxWidth().heightIn(min = 48.dp).semantics { contentDescription = about }
        ) {
            Text(names[chosen] ?: chosen, maxLines = 1, overflow = TextOverflow.Ellipsis)
        }
        DropdownMenu(expanded = isOpen, onDismissRequest = { isOpen = false }) {
            codes.forEach { code ->
                DropdownMenuItem(
                    text = { Text(names[code] ?: code) },
                    onClick = {
                        isOpen = false
                        choose(code)
                    }
                )
            }
        }
    }
}

@Composable
private fun Answered(model: AppModel, maxTokens: Int) {
    when (val answer = model.answer) {
        is Answer.None -> Note(stringResource(R.string.welcome))
        is Answer.Empty -> Note(stringResource(R.string.empty))
        is Answer.NoWords -> Note(stringResource(R.string.no_words))
        is Answer.NoExample -> Note(stringResource(R.string.no_example))
        is Answer.Stopped -> Note(stringResource(R.string.stopped))
        is Answer.TooLong -> Note(stringResource(R.string.too_long, answer.characters, LONGEST))
        is Answer.Reading -> Busy(stringResource(R.string.working, percent(answer.share.toDouble())), answer.share)
        is Answer.Entities -> Column {
            Warning(answer.doubt)
            Entities(answer.text, answer.found)
        }
        is Answer.Class -> Column {
            Warning(answer.doubt)
            Label(answer.verdict, answer.isCut, maxTokens)
        }
        is Answer.Failed -> Failed(answer.failure) { model.show(Answer.None) }
    }
}

@Composable
private fun Warning(doubt: Doubt) {
    if (doubt == Doubt.SCRIPT) Note(stringResource(R.string.unknown_script))
    if (doubt == Doubt.PIECES) Note(stringResource(R.string.unknown_words))
}

@Composable
private fun Entities(text: String, found: List<Entity>) {
    Column {
        if (found.isEmpty()) Note(stringResource(R.string.nothing_found))
        Text(marked(text, found), Modifier.padding(vertical = 8.dp), lineHeight = 2.em)
        if (found.isNotEmpty()) Heading(stringResource(R.string.found, found.size))
        found.forEach {
            val place = stringResource(R.string.place, it.start, it.end, percent(it.score))
            Line(labelName(it.label), "${it.text}\n$place")
        }
    }
}

/** The text with its entities coloured and named. Offsets count code points, and strings are cut at UTF-16 units. */
@Composable
private fun marked(text: String, found: List<Entity>): AnnotatedString {
    val parts = found.map { Triple(it, markColor(it.label), labelName(it.label)) }
    return buildAnnotatedString {
        var at = 0
        for ((entity, color, name) in parts) {
            val start = text.offsetByCodePoints(0, entity.start)
            append(text.substring(at, start))
            at = text.offsetByCodePoints(start, entity.end - entity.start)
            withStyle(SpanStyle(background = color)) { append(text.substring(start, at)) }
            val small = SpanStyle(background = color, fontWeight = FontWeight.Bold, fontSize = 0.75.em)
            withStyle(small) { append(" $name") }
        }
        append(text.substring(at))
    }
}

@Composable
private fun Label(verdict: Verdict, isCut: Boolean, maxTokens: Int) {
    Column {
        if (isCut) Note(stringResource(R.string.only_beginning, maxTokens))
        Heading("${labelName(verdict.label.orEmpty())}: ${percent(verdict.score ?: 0.0)} %")
        Text(stringResource(R.string.all_labels), color = MaterialTheme.colorScheme.onSurfaceVariant)
        verdict.labels.entries.sortedByDescending { it.value }.forEach {
            Line(labelName(it.key), "${percent(it.value)} %")
        }
    }
}

private fun percent(share: Double): Int = (100 * share).roundToInt()
