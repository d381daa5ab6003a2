"""From a page to an APK: compile, pack, align, sign, and look at what came out as a phone would."""

import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from edgeafri.apps.apk.archive import write_archive
from edgeafri.apps.apk.identity import Identity, identity
from edgeafri.apps.apk.keys import Key, signing_key
from edgeafri.apps.apk.toolchain import Toolchain, run, toolchain
from edgeafri.apps.web import check_outside, make_page
from edgeafri.bundle import read_config
from edgeafri.documents.package import AndroidPackage
from edgeafri.errors import ConfigError, WorkerError
from edgeafri.util.files import make_room, storage
from edgeafri.util.progress import StartProgress, quiet

OLDEST_SDK, TARGET_SDK = 26, 36  # Android 8.0 and Android 16
_ALIGNMENT = ("-p", "4")
_MODEL = "assets/bundle/"


def build_apk(bundle: Path, out: Path, start: StartProgress = quiet) -> AndroidPackage:
    """Make the APK of a bundle in the folder `out`; one that is there already is replaced, whole or not at all.

    Equal bundles, tools and keys make equal APKs. Raises MissingPackage with the command that installs what is missing,
    ArtifactError for a bundle that is damaged or that the page cannot run, ConfigError for a key that cannot be used,
    UsageError for a folder inside the bundle.
    """
    tools = toolchain(start)
    check_outside(out, bundle)
    page = make_page(bundle, start)
    named = identity(page.artifact, read_config(bundle))
    target = out / f"edgeafri-{page.artifact.manifest.task}-{page.artifact.id}.apk"
    key = pack(page.files, named, tools, target, start)
    return AndroidPackage(
        bundle_id=page.artifact.id,
        format="android",
        out=str(target),
        package=named.package,
        version_code=named.version_code,
        version_name=named.version_name,
        label=named.label,
        key=key.kind,
        bytes=target.stat().st_size,
        app_bytes=app_bytes(target),
        warnings=page.warnings,
    )


def pack(
    files: Mapping[str, Path], named: Identity, tools: Toolchain, target: Path, start: StartProgress = quiet
) -> Key:
    """Write the APK that shows a page, given as files by name, signed with the key that it returns."""
    key = signing_key()
    make_room(target)
    beside = target.parent.resolve()  # a whole path: no tool takes a folder called "-x" for an option
    with storage(beside), tempfile.TemporaryDirectory(dir=beside, prefix=".edgeafri-apk-") as scratch:
        folder = Path(scratch)
        start("compile the app")
        compiled, dex = _compile(named, tools, folder)
        start("pack the page and the model")
        write_archive(compiled, dex, files, folder / "loose.apk")
        run("zipalign", *_ALIGNMENT, folder / "loose.apk", folder / "aligned.apk")
        start(f"sign with the {key.kind} key")
        sign(folder / "aligned.apk", key, folder / "signed.apk")
        start("verify")
        verify(folder / "signed.apk", named)
        (folder / "signed.apk").replace(target)
    return key


def app_folder() -> Path:
    """Where the app's sources lie: packed into the package, else in the checkout."""
    packed = Path(__file__).parent / "app"
    return packed if packed.is_dir() else Path(__file__).parents[3] / "android-demo" / "app"


def sign(apk: Path, key: Key, out: Path) -> None:
    """Sign with APK Signature Scheme v2 and v3, which Android 8 reads; ConfigError where the key is refused."""
    schemes = ("--v1-signing-enabled", "false", "--v4-signing-enabled", "false", "--min-sdk-version", str(OLDEST_SDK))
    try:
        run("apksigner", "sign", *key.options, *schemes, "--out", out, apk)
    except WorkerError as error:
        raise ConfigError(f"the {key.kind} key cannot be used: {error.message}", _HINTS[key.kind]) from None


def verify(apk: Path, named: Identity) -> None:
    """WorkerError where the APK is not aligned, not signed, asks for a permission or is not the app that was meant."""
    run("zipalign", "-c", *_ALIGNMENT, apk)
    run("apksigner", "verify", "--min-sdk-version", str(OLDEST_SDK), apk)
    said = run("aapt", "dump", "badging", apk)
    expected = {
        "package: name": named.package,
        "sdkVersion:": str(OLDEST_SDK),
        "targetSdkVersion:": str(TARGET_SDK),
        "application-label:": named.label,
    }
    found = {key: _value(said, key) for key in expected}
    wrong = [f"{key} {found[key]}" for key in expected if found[key] != expected[key]]
    wrong += re.findall(r"^uses-permission.*$", said, re.MULTILINE)
    if wrong:
        raise WorkerError(f"the APK is not what it should be: {'; '.join(wrong)}", "Report this as a defect.")


def app_bytes(apk: Path) -> int:
    """The size of an APK without the bundle in it."""
    with zipfile.ZipFile(apk) as archive:
        model = sum(entry.compress_size for entry in archive.infolist() if entry.filename.startswith(_MODEL))
    return apk.stat().st_size - model


def _compile(named: Identity, tools: Toolchain, folder: Path) -> tuple[Path, Path]:
    """What aapt makes of manifest and resources, and the code as Android runs it: two files in `folder`."""
    app = app_folder()
    resources, generated, classes = folder / "res", folder / "generated", folder / "classes"
    shutil.copytree(app / "res", resources)
    (resources / "values" / "label.xml").write_text(_label(named.label), "utf-8")
    for made in (generated, classes):
        made.mkdir()
    manifest = app / "AndroidManifest.xml"
    run("aapt", *aapt_arguments(manifest, resources, generated, named, tools), "-F", folder / "compiled.apk")
    sources = sorted(file for part in (app / "java", app / "newer", generated) for file in part.rglob("*.java"))
    run("javac", *javac_options(tools), "-d", classes, *sources)
    shutil.rmtree(classes / "android")  # what `newer` stands in for is on the phone
    dex = folder / "classes.dex"
    run("java", "-cp", tools.dx, _DX, "--dex", f"--min-sdk-version={OLDEST_SDK}", f"--output={dex}", classes)
    return folder / "compiled.apk", dex


def aapt_arguments(
    manifest: Path, resources: Path, generated: Path, named: Identity, tools: Toolchain
) -> list[str | Path]:
    """How aapt is called: the identity goes over what the manifest says."""
    values: dict[str, str | Path] = {
        "-M": manifest,
        "-S": resources,
        "-J": generated,
        "-I": tools.framework,
        "--rename-manifest-package": named.package,
        "--version-code": str(named.version_code),
        "--version-name": named.version_name,
        "--min-sdk-version": str(OLDEST_SDK),
        "--target-sdk-version": str(TARGET_SDK),
    }
    return ["package", "-f", "-m", *(part for pair in values.items() for part in pair)]


def javac_options(tools: Toolchain) -> list[str | Path]:
    """Java 8 is what dx reads. Nothing of this machine's own Java is seen, and no debug information holds its paths."""
    java = ("-source", "8", "-target", "8", "-encoding", "UTF-8", "-g:none", "-Xlint:-options", "-nowarn")
    return [*java, "-bootclasspath", tools.classes, "-classpath", ""]


def _label(label: str) -> str:
    return f'<resources><string name="label" translatable="false">{escape(label)}</string></resources>\n'


def _value(said: str, key: str) -> str | None:
    found = re.search(rf"^{key}=?'([^']*)'", said, re.MULTILINE)
    return found[1] if found else None


_DX = "com.android.dx.command.Main"
_HINTS = {
    "debug": "Remove the folder of the debug key, and uninstall what was signed with it from the phone.",
    "release": "Look at EDGEAFRI_KEYSTORE, EDGEAFRI_KEY_PASSWORD and, with several keys in it, EDGEAFRI_KEY_ALIAS.",
}
