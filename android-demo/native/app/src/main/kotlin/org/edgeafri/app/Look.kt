/* Look: colours of the web page, and the few pieces that all screens are made of. */
package org.edgeafri.app

import androidx.compose.foundation.background
import androidx.compose.foundation.isSystemInDarkTheme
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.Spacer
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.height
import androidx.compose.foundation.layout.heightIn
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.shape.RoundedCornerShape
import androidx.compose.material3.Button
import androidx.compose.material3.LinearProgressIndicator
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.material3.darkColorScheme
import androidx.compose.material3.lightColorScheme
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.LiveRegionMode
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.liveRegion
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp

private val LIGHT = lightColorScheme(
    primary = Color(0xff0b5d57),
    background = Color(0xffffffff),
    surface = Color(0xffffffff),
    surfaceVariant = Color(0xfff1f5f4),
    onSurface = Color(0xff17211f),
    onSurfaceVariant = Color(0xff4a5856)
)
private val DARK = darkColorScheme(
    primary = Color(0xff58c3b8),
    onPrimary = Color(0xff06201d),
    background = Color(0xff101615),
    surface = Color(0xff101615),
    surfaceVariant = Color(0xff1b2422),
    onSurface = Color(0xffeaf1ef),
    onSurfaceVariant = Color(0xffa9b8b5)
)
private val MARKS_LIGHT = mapOf(
    "PER" to Color(0xffffe3b0),
    "ORG" to Color(0xffcfe3ff),
    "LOC" to Color(0xffc9efd3),
    "DATE" to Color(0xffeed7fb)
)
private val MARKS_DARK = mapOf(
    "PER" to Color(0xff5c430c),
    "ORG" to Color(0xff1f4473),
    "LOC" to Color(0xff1d5230),
    "DATE" to Color(0xff54306b)
)

@Composable
fun AppTheme(content: @Composable () -> Unit) {
    MaterialTheme(colorScheme = if (isSystemInDarkTheme()) DARK else LIGHT, content = content)
}

/** The colour behind an entity. Its label stands beside it too: colour alone tells nothing to many. */
@Composable
fun markColor(label: String): Color {
    val isDark = isSystemInDarkTheme()
    return (if (isDark) MARKS_DARK else MARKS_LIGHT)[label] ?: Color(if (isDark) 0xff4a4d22 else 0xffe2e6c4)
}

/** A label in words where the app has them, else as the model calls it. */
@Composable
fun labelName(label: String): String {
    val known = mapOf(
        "PER" to R.string.label_PER,
        "ORG" to R.string.label_ORG,
        "LOC" to R.string.label_LOC,
        "DATE" to R.string.label_DATE,
        "positive" to R.string.label_positive,
        "negative" to R.string.label_negative,
        "neutral" to R.string.label_neutral
    )
    return known[label]?.let { stringResource(it) } ?: label
}

@Composable
fun Heading(text: String) {
    Text(
        text,
        Modifier.padding(top = 16.dp, bottom = 4.dp).semantics { heading() },
        style = MaterialTheme.typography.titleMedium
    )
}

/** A sentence that a screen reader says when it appears. */
@Composable
fun Note(text: String) {
    val shape = RoundedCornerShape(8.dp)
    val spoken = Modifier.fillMaxWidth().semantics { liveRegion = LiveRegionMode.Polite }
    Text(text, spoken.background(MaterialTheme.colorScheme.surfaceVariant, shape).padding(12.dp))
}

/** A bar with what it stands for; `share` of 0 to 1, null where it is not known. */
@Composable
fun Busy(text: String, share: Float?) {
    Column(Modifier.padding(16.dp)) {
        Note(text)
        Spacer(Modifier.height(8.dp))
        val wide = Modifier.fillMaxWidth()
        if (share == null) LinearProgressIndicator(wide) else LinearProgressIndicator({ share }, wide)
    }
}

@Composable
fun Failed(failure: Failure, again: () -> Unit) {
    var isOpen by rememberSaveable { mutableStateOf(false) }
    Column(Modifier.padding(16.dp)) {
        Note(stringResource(failure.sentence))
        MainButton(stringResource(R.string.try_again), again)
        TextButton(onClick = { isOpen = !isOpen }) { Text(stringResource(R.string.details)) }
        if (isOpen) Text(failure.details, style = MaterialTheme.typography.bodySmall)
    }
}

@Composable
fun MainButton(text: String, press: () -> Unit) {
    Button(onClick = press, modifier = Modifier.fillMaxWidth().heightIn(min = 56.dp)) { Text(text) }
}

/** What something is called, and what it is; read out as one. */
@Composable
fun Line(name: String, value: String) {
    Row(Modifier.fillMaxWidth().padding(vertical = 6.dp).semantics(mergeDescendants = true) {}) {
        Text(name, Modifier.weight(1f), color = MaterialTheme.colorScheme.onSurfaceVariant)
        Text(value, Modifier.padding(start = 12.dp).weight(1f))
    }
}
