/* Phone: what Android knows of itself for a measurement. What it does not tell is null. */
package org.edgeafri.app

import ai.onnxruntime.OrtEnvironment
import android.app.ActivityManager
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import android.os.Process
import android.os.SystemClock
import java.io.File
import java.io.IOException
import org.edgeafri.core.Platform

class Phone(private val context: Context) : Platform {
    override val device = "${Build.MANUFACTURER} ${Build.MODEL}"
    override val runtime = "onnxruntime-android ${OrtEnvironment.getEnvironment().version}"

    override fun wallMs(): Double = SystemClock.elapsedRealtimeNanos() / 1e6

    /** Of all threads. */
    override fun cpuMs(): Double = Process.getElapsedCpuTime().toDouble()

    override fun peakBytes(): Long {
        val line = read("/proc/self/status")?.lines()?.firstOrNull { it.startsWith("VmHWM") }
        return (line?.filter { it.isDigit() }?.toLongOrNull() ?: 0) * 1024
    }

    override fun conditions(): Map<String, Any?> =
        mapOf(
            "machine" to Build.SUPPORTED_ABIS.firstOrNull(),
            "cores" to Runtime.getRuntime().availableProcessors(),
            "system" to "Android ${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT})",
            "chip" to chip(),
            "governor" to read("$CPUFREQ/scaling_governor")?.trim(),
            "battery_saver" to power().isPowerSaveMode
        )

    override fun state(): Map<String, Any?> =
        mapOf(
            "temperature_c" to null,
            "battery_temperature_c" to batteryTemperature(),
            "clock_mhz" to read("$CPUFREQ/scaling_cur_freq")?.trim()?.toIntOrNull()?.let { it / 1000 },
            "throttled" to throttled(),
            "available_mb" to availableMb()
        )

    private fun chip(): String {
        if (Build.VERSION.SDK_INT < 31) return Build.HARDWARE
        return "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}"
    }

    /** What Android says of its own slowing down; empty where it does not slow down, null before Android 10. */
    private fun throttled(): List<String>? {
        if (Build.VERSION.SDK_INT < 29) return null
        val status = power().currentThermalStatus
        return if (status == PowerManager.THERMAL_STATUS_NONE) listOf() else listOf("thermal status $status")
    }

    private fun batteryTemperature(): Double? {
        val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
        val tenths = battery?.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, 0) ?: 0
        return if (tenths == 0) null else tenths / 10.0
    }

    private fun availableMb(): Long {
        val memory = ActivityManager.MemoryInfo()
        context.getSystemService(ActivityManager::class.java).getMemoryInfo(memory)
        return memory.availMem / 1_000_000
    }

    private fun power(): PowerManager = context.getSystemService(PowerManager::class.java)

    private fun read(path: String): String? =
        try {
            File(path).readText()
        } catch (error: IOException) {
            null
        }
}

private const val CPUFREQ = "/sys/devices/system/cpu/cpu0/cpufreq"
