package org.edgeafri.demo;

import android.webkit.RenderProcessGoneDetail;
import android.webkit.ServiceWorkerClient;
import android.webkit.WebResourceRequest;
import android.webkit.WebResourceResponse;
import android.webkit.WebView;
import android.webkit.WebViewClient;
import java.io.ByteArrayInputStream;
import java.io.InputStream;

/** What the page may do: read the files of the app, and go nowhere else. */
final class Page extends WebViewClient {
    private final MainActivity app;
    private final Router router;

    Page(MainActivity app, Router router) {
        this.app = app;
        this.router = router;
    }

    /** Called on a thread of WebView's own. */
    @Override
    public WebResourceResponse shouldInterceptRequest(WebView view, WebResourceRequest request) {
        return answer(router, request);
    }

    @Override
    public boolean shouldOverrideUrlLoading(WebView view, String url) {
        return !Router.isOurs(url);
    }

    /** Android 8 and newer call this when the page's process is gone, mostly for want of memory; else the app ends too. */
    public boolean onRenderProcessGone(WebView view, RenderProcessGoneDetail detail) {
        app.tell(app.getString(R.string.stopped));
        return true;
    }

    /** Answers what the page's worker asks for: Chromium names no frame for it, and WebView then asks this client. */
    ServiceWorkerClient workers() {
        final Router same = router;
        return new ServiceWorkerClient() {
            @Override
            public WebResourceResponse shouldInterceptRequest(WebResourceRequest request) {
                return answer(same, request);
            }
        };
    }

    private static WebResourceResponse answer(Router router, WebResourceRequest request) {
        Router.Answer answer = router.answer(request.getMethod(), request.getUrl().toString());
        InputStream body = answer.body == null ? new ByteArrayInputStream(new byte[0]) : answer.body;
        return new WebResourceResponse(
                answer.type, answer.encoding, answer.status, answer.reason, router.headers(), body);
    }
}
