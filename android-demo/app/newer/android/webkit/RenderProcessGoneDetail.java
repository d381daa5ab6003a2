package android.webkit;

/** A class of Android 8, newer than what the app is compiled against. Only its name is needed; it is not packed. */
public abstract class RenderProcessGoneDetail {}
