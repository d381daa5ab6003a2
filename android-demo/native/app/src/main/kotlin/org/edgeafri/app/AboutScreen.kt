/* AboutScreen: which model this is, its card, what the app keeps, and licences. */
package org.edgeafri.app

import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.unit.dp
import java.util.Locale

@Composable
fun AboutScreen(open: Opening.Open) {
    val bundle = open.engine.bundle
    val bytes = bundle.manifest.files.values.fold(0L) { sum, entry -> sum + entry.bytes }
    Column(Modifier.fillMaxSize().verticalScroll(rememberScrollState()).padding(16.dp)) {
        Heading(stringResource(R.string.model))
        if (bundle.config.sample) Note(stringResource(R.string.sample_model))
        Line(stringResource(R.string.task), bundle.config.task)
        Line(stringResource(R.string.languages), bundle.config.languages.joinToString { open.languages[it] ?: it })
        Line(stringResource(R.string.size), String.format(Locale.getDefault(), "%.1f MB", bytes / 1e6))
        Line(stringResource(R.string.identity), bundle.manifest.id)
        Fold(stringResource(R.string.card), bundle.card)
        Heading(stringResource(R.string.privacy))
        Text(stringResource(R.string.privacy_text))
        Heading(stringResource(R.string.licences))
        open.licences.forEach { (name, text) -> Fold(name, text) }
    }
}

/** A long text behind its title. */
@Composable
private fun Fold(title: String, text: String) {
    var isOpen by rememberSaveable { mutableStateOf(false) }
    TextButton(onClick = { isOpen = !isOpen }) { Text(title) }
    if (isOpen) Text(text, style = MaterialTheme.typography.bodySmall)
}
