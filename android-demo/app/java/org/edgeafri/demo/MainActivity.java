package org.edgeafri.demo;

import android.app.Activity;
import android.app.ActivityManager;
import android.content.Intent;
import android.content.res.Configuration;
import android.os.Build;
import android.os.Bundle;
import android.util.AndroidRuntimeException;
import android.view.Gravity;
import android.view.View;
import android.view.ViewGroup;
import android.webkit.ServiceWorkerController;
import android.webkit.WebSettings;
import android.webkit.WebView;
import android.widget.Button;
import android.widget.FrameLayout;
import android.widget.LinearLayout;
import android.widget.TextView;
import java.util.LinkedHashMap;
import java.util.Map;
import org.json.JSONObject;

/** The app: one WebView that shows the page in the assets, and a plain message where that cannot be. */
public final class MainActivity extends Activity {
    private static final int PREDICTIVE_BACK = 36; // the first Android that does not call onBackPressed any more

    private WebView page;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        if (Build.VERSION.SDK_INT >= PREDICTIVE_BACK) {
            BackGesture.listen(this, new Runnable() {
                @Override
                public void run() {
                    back();
                }
            });
        }
        start();
    }

    /** Turning the phone or changing its text size rebuilds nothing: what was typed stays. */
    @Override
    public void onConfigurationChanged(Configuration changed) {
        super.onConfigurationChanged(changed);
        if (page != null) {
            page.getSettings().setTextZoom(textZoom(changed));
        }
    }

    @Override
    public void onBackPressed() {
        back();
    }

    @Override
    protected void onDestroy() {
        close();
        super.onDestroy();
    }

    /** Replace the page by a message and a button that starts it again: never a blank screen. */
    void tell(String message) {
        close();
        TextView words = new TextView(this);
        words.setText(message);
        words.setTextSize(20);
        Button again = new Button(this);
        again.setText(R.string.again);
        again.setOnClickListener(new View.OnClickListener() {
            @Override
            public void onClick(View button) {
                start();
            }
        });
        LinearLayout column = new LinearLayout(this);
        column.setOrientation(LinearLayout.VERTICAL);
        column.setGravity(Gravity.CENTER);
        int margin = Math.round(24 * getResources().getDisplayMetrics().density);
        column.setPadding(margin, margin, margin, margin);
        column.addView(words);
        column.addView(again);
        fill(column);
    }

    /** Hand a text to whatever app the user picks. */
    void share(String text) {
        Intent send = new Intent(Intent.ACTION_SEND).setType("text/plain").putExtra(Intent.EXTRA_TEXT, text);
        startActivity(Intent.createChooser(send, null));
    }

    private void start() {
        try {
            String userAgent = WebSettings.getDefaultUserAgent(this);
            int engine = Router.engine(userAgent);
            if (engine < Router.OLDEST_ENGINE) {
                tell(getString(R.string.old_webview, engine, Router.OLDEST_ENGINE));
                return;
            }
            page = open(userAgent);
        } catch (AndroidRuntimeException missing) {
            tell(getString(R.string.no_webview));
            return;
        }
        fill(page);
        page.loadUrl(Router.START);
    }

    private WebView open(String userAgent) {
        WebView view = new WebView(this);
        WebSettings settings = view.getSettings();
        settings.setJavaScriptEnabled(true);
        settings.setDomStorageEnabled(true); // the page keeps there what the user asked it to remember, nothing else
        settings.setAllowFileAccess(false);
        settings.setAllowContentAccess(false);
        settings.setGeolocationEnabled(false);
        settings.setTextZoom(textZoom(getResources().getConfiguration()));
        Page page = new Page(this, new Router(new Assets(getApplicationContext().getAssets()), device(), userAgent));
        view.setWebViewClient(page);
        view.addJavascriptInterface(new Door(this), "EdgeAfriApp");
        ServiceWorkerController.getInstance().setServiceWorkerClient(page.workers());
        return view;
    }

    /** Android 15 draws an app under the system's bars and keyboard; the frame keeps the page clear of them. */
    private void fill(View content) {
        FrameLayout frame = new FrameLayout(this);
        frame.setFitsSystemWindows(true);
        frame.addView(content);
        setContentView(frame);
    }

    private void back() {
        if (page != null && page.canGoBack()) {
            page.goBack();
        } else {
            moveTaskToBack(true); // not finish(): who comes back finds the text as it was
        }
    }

    private void close() {
        if (page != null) {
            ((ViewGroup) page.getParent()).removeView(page); // a WebView is not destroyed while it is shown
            page.destroy();
            page = null;
        }
    }

    /** What a benchmark says of the phone, and a page cannot find out by itself. Nothing here is of one person. */
    private String device() {
        ActivityManager.MemoryInfo memory = new ActivityManager.MemoryInfo();
        ((ActivityManager) getSystemService(ACTIVITY_SERVICE)).getMemoryInfo(memory);
        Map<String, Object> facts = new LinkedHashMap<String, Object>();
        facts.put("name", Build.MODEL);
        facts.put("maker", Build.MANUFACTURER);
        facts.put("board", Build.BOARD);
        facts.put("system", "Android " + Build.VERSION.RELEASE);
        facts.put("memory_mb", memory.totalMem / 1000000);
        return new JSONObject(facts).toString();
    }

    private static int textZoom(Configuration configuration) {
        return Math.round(100 * configuration.fontScale);
    }
}
