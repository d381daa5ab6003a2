package org.edgeafri.demo;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the app answers to its page: which file, of which type, under which rules. No Android class is needed to say so.
 *
 * <p>A Range header is not looked at: WebView itself skips to the range in the stream that it is given (InputStreamReader
 * in Chromium's source code), and a second skip here would lose bytes.
 */
final class Router {
    /** The oldest Chromium whose WebAssembly has SIMD, without which the engine does not start. */
    static final int OLDEST_ENGINE = 91;

    private static final String HOME = "https://appassets.androidplatform.net/assets/";

    /** Where the page begins. */
    static final String START = HOME + "index.html";

    // No part begins with a dot and nothing is percent-encoded, so no path leads out of the folder.
    private static final String PART = "[A-Za-z0-9_@-][A-Za-z0-9_.@-]*";
    private static final Pattern NAME = Pattern.compile("(?:" + PART + "/)*" + PART);
    private static final Pattern ENGINE = Pattern.compile("Chrom(?:e|ium)/(\\d{1,5})\\b");

    // The same words as in edgeafri/server.py.
    private static final String POLICY =
            "default-src 'none'; script-src 'self' %s; worker-src 'self'; connect-src 'self'; style-src 'self'; "
                    + "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    private static final int KNOWS_WASM_UNSAFE_EVAL = 97;

    private static final String DEVICE = "device.json";
    private static final String BYTES = "application/octet-stream";
    private static final Map<String, String> TYPES = new HashMap<String, String>();

    static {
        TYPES.put("html", "text/html");
        TYPES.put("js", "text/javascript");
        TYPES.put("mjs", "text/javascript");
        TYPES.put("css", "text/css");
        TYPES.put("json", "application/json");
        TYPES.put("jsonl", "application/json");
        TYPES.put("md", "text/plain");
        TYPES.put("txt", "text/plain");
        TYPES.put("svg", "image/svg+xml");
        TYPES.put("wasm", "application/wasm");
    }

    /** Where files come from. */
    interface Files {
        /** The content of a file; IOException where there is none of that name. */
        InputStream open(String name) throws IOException;
    }

    /** What a request is answered with. `body` is null where nothing is given away. */
    static final class Answer {
        final int status;
        final String reason;
        final String type;
        final String encoding;
        final InputStream body;

        private Answer(int status, String reason, String type, InputStream body) {
            this.status = status;
            this.reason = reason;
            this.type = type;
            this.encoding = type.equals(BYTES) || type.equals("application/wasm") ? null : "utf-8";
            this.body = body;
        }
    }

    private final Files files;
    private final byte[] device;
    private final Map<String, String> headers;

    /** `device` is what the page is given as device.json; `userAgent` is what the WebView calls itself. */
    Router(Files files, String device, String userAgent) {
        this.files = files;
        this.device = device.getBytes(Charset.forName("UTF-8"));
        this.headers = new LinkedHashMap<String, String>();
        headers.put("Content-Security-Policy", policy(engine(userAgent)));
        headers.put("X-Content-Type-Options", "nosniff");
        headers.put("Referrer-Policy", "no-referrer");
        headers.put("Cache-Control", "no-store"); // the files are on the phone already
    }

    /** The answer to a request: a file of the app, or 403 for everything else. */
    Answer answer(String method, String url) {
        String name = method.equals("GET") ? name(url) : null;
        if (name != null) {
            try {
                return new Answer(200, "OK", type(name), open(name));
            } catch (IOException missing) {
                // Told as everything else that is not given: 403.
            }
        }
        return new Answer(403, "Forbidden", "text/plain", null);
    }

    /** The headers of every answer. */
    Map<String, String> headers() {
        return headers;
    }

    /** Whether the page may go to an address: its own files only. */
    static boolean isOurs(String url) {
        return name(url) != null;
    }

    /** The main version of the Chromium in a WebView; 0 where it does not say. */
    static int engine(String userAgent) {
        Matcher found = ENGINE.matcher(userAgent);
        return found.find() ? Integer.parseInt(found.group(1)) : 0;
    }

    /** Chromium before 97 spells 'wasm-unsafe-eval' as 'unsafe-eval', which says more; newer ones do not get it. */
    private static String policy(int engine) {
        boolean old = 0 < engine && engine < KNOWS_WASM_UNSAFE_EVAL;
        return String.format(POLICY, old ? "'unsafe-eval'" : "'wasm-unsafe-eval'");
    }

    private InputStream open(String name) throws IOException {
        return name.equals(DEVICE) ? new ByteArrayInputStream(device) : files.open(name);
    }

    private static String name(String url) {
        if (!url.startsWith(HOME)) {
            return null;
        }
        String rest = url.substring(HOME.length()).split("[?#]", 2)[0];
        return NAME.matcher(rest).matches() ? rest : null;
    }

    private static String type(String name) {
        String known = TYPES.get(name.substring(name.lastIndexOf('.') + 1));
        return known == null ? BYTES : known;
    }
}
