package org.edgeafri.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The page reads the app's own files with their right types, and nothing else on the phone or in the world. */
final class RouterTest {
    private static final String HOME = "https://appassets.androidplatform.net/assets/";
    private static final String MODERN = "Mozilla/5.0 (Linux; Android 13; X) AppleWebKit/537.36 Chrome/126.0.6478.122 Mobile";
    private static final String OLD = "Mozilla/5.0 (Linux; Android 9; X) AppleWebKit/537.36 Chrome/92.0.4515.131 Mobile";

    private static final String DEVICE = "{\"name\":\"ጤና 1\"}";

    private final Router router = new Router(new OneFolder(), DEVICE, MODERN);

    /** Opens every name but those with "missing" in them, and holds the name itself. */
    private static final class OneFolder implements Router.Files {
        @Override
        public InputStream open(String name) throws IOException {
            if (name.contains("missing")) {
                throw new FileNotFoundException(name);
            }
            return new ByteArrayInputStream(name.getBytes(StandardCharsets.UTF_8));
        }
    }

    private static String text(Router.Answer answer) throws IOException {
        return new String(answer.body.readAllBytes(), StandardCharsets.UTF_8);
    }

    @ParameterizedTest
    @CsvSource({
        "index.html, text/html, utf-8",
        "js/app.js, text/javascript, utf-8",
        "vendor/ort.mjs, text/javascript, utf-8",
        "page.css, text/css, utf-8",
        "strings/am.json, application/json, utf-8",
        "bundle/golden.jsonl, application/json, utf-8",
        "bundle/card.md, text/plain, utf-8",
        "icon.svg, image/svg+xml, utf-8",
        "vendor/ort-wasm-simd-threaded.wasm, application/wasm,",
        "bundle/model.onnx, application/octet-stream,",
        "bundle/model.onnx.data, application/octet-stream,",
        "LICENSE, application/octet-stream,",
    })
    void givesAFileWithItsType(String name, String type, String encoding) throws IOException {
        Router.Answer answer = router.answer("GET", HOME + name);

        assertEquals(200, answer.status);
        assertEquals(type, answer.type);
        assertEquals(encoding, answer.encoding);
        assertEquals(name, text(answer));
    }

    @ParameterizedTest
    @ValueSource(strings = {"index.html?device=X", "index.html#about", "index.html?a=/../b#c?d"})
    void looksOnlyAtThePath(String address) throws IOException {
        assertEquals("index.html", text(router.answer("GET", HOME + address)));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "../secret.txt",
        "bundle/../../secret.txt",
        "bundle/..",
        "./index.html",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "..\\secret.txt",
        "/etc/passwd",
        "bundle//model.onnx",
        "bundle/",
        ".hidden",
        "bundle/.hidden",
        "",
        "a b.txt",
        "index.html\u0000.png",
        "ọ.txt",
    })
    void noPathLeadsOutOfTheFolder(String path) {
        Router.Answer answer = router.answer("GET", HOME + path);

        assertEquals(403, answer.status);
        assertNull(answer.body);
    }

    @ParameterizedTest
    @ValueSource(strings = {"missing.html", "bundle/missing.onnx"})
    void aFileThatIsNotThereIsForbiddenAsWell(String name) {
        assertEquals(403, router.answer("GET", HOME + name).status);
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "https://example.org/index.html",
        "http://appassets.androidplatform.net/assets/index.html",
        "https://appassets.androidplatform.net/index.html",
        "https://appassets.androidplatform.net/assets",
        "https://appassets.androidplatform.net:443/assets/index.html",
        "https://user@appassets.androidplatform.net/assets/index.html",
        "https://appassets.androidplatform.net.example.org/assets/index.html",
        "file:///android_asset/index.html",
        "content://org.edgeafri.demo/index.html",
        "data:text/html,x",
        "javascript:alert(1)",
        "share:x",
        "intent://x#Intent;end",
        "",
    })
    void everyOtherPlaceIsForbidden(String url) {
        assertEquals(403, router.answer("GET", url).status);
        assertFalse(Router.isOurs(url));
    }

    @ParameterizedTest
    @ValueSource(strings = {"POST", "PUT", "HEAD", "OPTIONS", "get"})
    void filesAreReadOnly(String method) {
        assertEquals(403, router.answer(method, HOME + "index.html").status);
    }

    /** WebView cuts the range out of the stream by itself, so a request for a range is given all of the file. */
    @Test
    void aRangeIsLeftToWebView() throws IOException {
        Router.Answer answer = router.answer("GET", HOME + "bundle/model.onnx");

        assertEquals(200, answer.status);
        assertEquals("bundle/model.onnx", text(answer));
        assertFalse(router.headers().containsKey("Content-Range"));
    }

    @Test
    void everyAnswerCarriesTheRules() {
        String policy = router.headers().get("Content-Security-Policy");

        assertTrue(policy.startsWith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"));
        assertFalse(policy.contains("unsafe-inline") || policy.contains("'unsafe-eval'") || policy.contains("http"));
        assertEquals("nosniff", router.headers().get("X-Content-Type-Options"));
    }

    /** Chromium before 97 does not know 'wasm-unsafe-eval'. */
    @Test
    void anOldEngineGetsTheWiderWord() {
        String policy = new Router(new OneFolder(), DEVICE, OLD).headers().get("Content-Security-Policy");

        assertTrue(policy.contains("script-src 'self' 'unsafe-eval';"));
    }

    @Test
    void theEngineIsReadFromItsName() {
        assertEquals(126, Router.engine(MODERN));
        assertEquals(92, Router.engine(OLD));
        assertEquals(0, Router.engine("something else"));
        assertEquals(0, Router.engine("Chrome/12345678901234567890"));
    }

    @Test
    void thePageIsToldOfThePhone() throws IOException {
        Router.Answer answer = router.answer("GET", HOME + "device.json");

        assertEquals("application/json", answer.type);
        assertEquals(DEVICE, text(answer));
    }

    @Test
    void theAppStartsWithAFileOfItsOwn() throws IOException {
        assertEquals("index.html", text(router.answer("GET", Router.START)));
    }
}
