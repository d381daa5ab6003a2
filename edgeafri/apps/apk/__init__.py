"""The phone app: from a bundle to a signed, aligned, verified APK, made with Debian's packages alone."""

from edgeafri.apps.apk.build import Apk, build_apk

__all__ = ["Apk", "build_apk"]
