// Plain Kotlin without Android: tokenizer, words, windows, labels, and the bundle reader.

import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

kotlin {
    compilerOptions.jvmTarget.set(JvmTarget.JVM_17)
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

// The shared vectors are this module's test. Exit code 1 where something differs fails the build.
val replay by tasks.registering(JavaExec::class) {
    group = "verification"
    description = "Compares this core with the shared vectors."
    val vectors = rootDir.resolve("../vectors/tiny")
    classpath = sourceSets.test.get().runtimeClasspath
    mainClass.set("org.edgeafri.core.ReplayKt")
    args(vectors.path, vectors.resolve("vectors.jsonl").path)
}

tasks.test {
    enabled = false
}

tasks.check {
    dependsOn(replay)
}
