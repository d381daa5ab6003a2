package android.webkit;

/** A class of Android 7, newer than what the app is compiled against, with the one method that it needs; not packed. */
public class ServiceWorkerClient {
    public WebResourceResponse shouldInterceptRequest(WebResourceRequest request) {
        return null;
    }
}
