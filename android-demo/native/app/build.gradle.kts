// The Android app. -Pbundle=FOLDER names the bundle that goes into its assets.

import javax.inject.Inject
import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
    alias(libs.plugins.kotlin.compose)
}

android {
    namespace = "org.edgeafri.app"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.edgeafri.app"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
    }

    buildTypes {
        release {
            isMinifyEnabled = false // onnxruntime is called from native code by name
        }
    }

    buildFeatures {
        compose = true
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin {
    compilerOptions.jvmTarget.set(JvmTarget.JVM_17)
}

dependencies {
    implementation(project(":core"))
    implementation(platform(libs.compose.bom))
    implementation(libs.compose.foundation)
    implementation(libs.compose.material3)
    implementation(libs.compose.ui)
    implementation(libs.activity.compose)
    implementation(libs.lifecycle.viewmodel)
    implementation(libs.onnxruntime)
}

/** Puts the bundle's folder, unchanged, into assets/bundle, and beside it what the web page shares. */
abstract class CopyBundle : DefaultTask() {
    @get:Optional
    @get:InputDirectory
    abstract val bundle: DirectoryProperty

    @get:InputFile
    abstract val languages: RegularFileProperty

    @get:InputDirectory
    abstract val licences: DirectoryProperty

    @get:OutputDirectory
    abstract val assets: DirectoryProperty

    @get:Inject
    abstract val files: FileSystemOperations

    @TaskAction
    fun copy() {
        if (!bundle.isPresent) {
            throw GradleException("No bundle is given. Add -Pbundle=FOLDER, one that `edgeafri build` made.")
        }
        files.sync {
            from(bundle) { into("bundle") }
            from(languages)
            from(licences) { into("licences") }
            into(assets)
        }
    }
}

androidComponents {
    onVariants { variant ->
        val name = variant.name.replaceFirstChar { it.uppercase() }
        val copy = tasks.register<CopyBundle>("copy${name}Bundle") {
            bundle.set(layout.dir(providers.gradleProperty("bundle").map { file(it) }))
            languages.set(rootDir.resolve("../web/page/languages.json"))
            licences.set(rootDir.resolve("../web/page/licences"))
        }
        variant.sources.assets?.addGeneratedSourceDirectory(copy, CopyBundle::assets)
    }
}
