package org.edgeafri.demo;

import android.webkit.JavascriptInterface;

/**
 * The one thing that the page may ask of Android: to open the share sheet with a text, where the user picks an app or none.
 *
 * <p>A page that finds `EdgeAfriApp` knows that it runs in the app; a WebView has neither navigator.share nor downloads.
 */
final class Door {
    private static final int LONGEST = 100000; // what one app hands to another must stay well below 1 MB

    private final MainActivity app;

    Door(MainActivity app) {
        this.app = app;
    }

    /** Called on a thread of WebView's own. */
    @JavascriptInterface
    public void share(final String text) {
        if (text == null || text.length() > LONGEST) {
            return;
        }
        app.runOnUiThread(new Runnable() {
            @Override
            public void run() {
                app.share(text);
            }
        });
    }
}
