/* SpeedScreen: times the model on this phone and hands out the measurement as `edgeafri bench --json` has it. */
package org.edgeafri.app

import android.content.ClipData
import android.content.ClipboardManager
import android.content.Context
import android.content.Intent
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.heightIn
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.OutlinedButton
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.unit.dp
import kotlin.math.roundToInt
import org.edgeafri.core.Trial

@Composable
fun SpeedScreen(model: AppModel, engine: Engine) {
    val speed = model.speed
    val length = minOf(Trial().length, engine.bundle.config.maxTokens)
    Column(Modifier.fillMaxSize()) {
        Column(Modifier.weight(1f).fillMaxWidth().verticalScroll(rememberScrollState()).padding(16.dp)) {
            when (speed) {
                is Speed.None -> Note(stringResource(R.string.speed_intro, length))
                is Speed.Running -> Busy(stringResource(R.string.measuring, percent(speed.share)), speed.share)
                is Speed.Failed -> Failed(speed.failure) { model.measure(engine) }
                is Speed.Done -> Figures(speed)
            }
        }
        Column(Modifier.padding(16.dp), verticalArrangement = Arrangement.spacedBy(8.dp)) {
            if (speed is Speed.Done) Handout(speed.json)
            if (speed !is Speed.Running) MainButton(stringResource(R.string.measure)) { model.measure(engine) }
        }
    }
}

@Composable
private fun Figures(speed: Speed.Done) {
    val values = speed.values
    Line(stringResource(R.string.p50_ms), "${values["p50_ms"]} ms")
    Line(stringResource(R.string.p95_ms), "${values["p95_ms"]} ms")
    Line(stringResource(R.string.tokens_per_s), "${values["tokens_per_s"]}")
    Line(stringResource(R.string.load_ms), "${values["load_ms"]} ms")
    Line(stringResource(R.string.memory), "${values["peak_rss_mb"]} MB")
    Line(stringResource(R.string.golden), stringResource(R.string.golden_of, speed.equal, speed.golden))
    Line(stringResource(R.string.device), "${values["device"]}, ${values["runtime"]}")
}

@Composable
private fun Handout(json: String) {
    val context = LocalContext.current
    Row(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
        OutlinedButton(onClick = { share(context, json) }, modifier = Modifier.weight(1f).heightIn(min = 48.dp)) {
            Text(stringResource(R.string.share))
        }
        OutlinedButton(onClick = { copy(context, json) }, modifier = Modifier.weight(1f).heightIn(min = 48.dp)) {
            Text(stringResource(R.string.copy))
        }
    }
}

private fun percent(share: Float): Int = (100 * share).roundToInt()

private fun share(context: Context, json: String) {
    val send = Intent(Intent.ACTION_SEND).setType("text/plain").putExtra(Intent.EXTRA_TEXT, json)
    context.startActivity(Intent.createChooser(send, null))
}

private fun copy(context: Context, json: String) {
    context.getSystemService(ClipboardManager::class.java).setPrimaryClip(ClipData.newPlainText("EdgeAfri", json))
}
