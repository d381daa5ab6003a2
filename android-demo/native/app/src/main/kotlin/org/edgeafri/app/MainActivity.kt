/* MainActivity: three screens, one below the other's tab, within reach of a thumb. */
package org.edgeafri.app

import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.setContent
import androidx.activity.enableEdgeToEdge
import androidx.activity.viewModels
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.heightIn
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.foundation.selection.selectable
import androidx.compose.foundation.selection.selectableGroup
import androidx.compose.material3.HorizontalDivider
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Surface
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.Role
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.unit.dp

class MainActivity : ComponentActivity() {
    private val model: AppModel by viewModels()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        enableEdgeToEdge()
        setContent { AppTheme { Screens(model) } }
    }
}

private enum class Screen(val title: Int) {
    TEXT(R.string.text),
    SPEED(R.string.speed),
    ABOUT(R.string.about)
}

@Composable
private fun Screens(model: AppModel) {
    var shown by rememberSaveable { mutableStateOf(Screen.TEXT) }
    Surface(Modifier.fillMaxSize()) {
        Column(Modifier.safeDrawingPadding()) {
            Box(Modifier.weight(1f)) { Opened(model, shown) }
            HorizontalDivider()
            Tabs(shown) { shown = it }
        }
    }
}

@Composable
private fun Opened(model: AppModel, shown: Screen) {
    when (val opening = model.opening) {
        is Opening.Running -> Busy(stringResource(R.string.opening), null)
        is Opening.Failed -> Failed(opening.failure) { model.open() }
        is Opening.Open -> when (shown) {
            Screen.TEXT -> TextScreen(model, opening)
            Screen.SPEED -> SpeedScreen(model, opening.engine)
            Screen.ABOUT -> AboutScreen(opening)
        }
    }
}

@Composable
private fun Tabs(shown: Screen, show: (Screen) -> Unit) {
    Row(Modifier.fillMaxWidth().selectableGroup()) {
        Screen.values().forEach { Tab(it, it == shown, Modifier.weight(1f)) { show(it) } }
    }
}

@Composable
private fun Tab(screen: Screen, isShown: Boolean, modifier: Modifier, show: () -> Unit) {
    val marked = modifier.heightIn(min = 56.dp).selectable(selected = isShown, role = Role.Tab, onClick = show)
    Box(marked, contentAlignment = Alignment.Center) {
        val color = if (isShown) MaterialTheme.colorScheme.primary else MaterialTheme.colorScheme.onSurface
        Text(stringResource(screen.title), color = color, fontWeight = if (isShown) FontWeight.Bold else null)
    }
}
