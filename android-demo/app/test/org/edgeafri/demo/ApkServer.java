package org.edgeafri.demo;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * The app without a phone: the files of a signed APK, given out by the app's own Router, to a browser on this machine.
 *
 * <p>{@code java org.edgeafri.demo.ApkServer FILE.apk} prints the page's address and serves it until its input ends.
 */
final class ApkServer {
    private static final String ORIGIN = "https://appassets.androidplatform.net";
    private static final String DEVICE =
            "{\"name\":\"TECNO BG6\",\"maker\":\"TECNO\",\"board\":\"ums9230\",\"system\":\"Android 13\",\"memory_mb\":1873}";

    public static void main(String[] arguments) throws IOException {
        final ZipFile apk = new ZipFile(arguments[0]);
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/", exchange -> answer(exchange, apk));
        server.start();
        System.out.println("http://127.0.0.1:" + server.getAddress().getPort() + Router.START.substring(ORIGIN.length()));
        while (System.in.read() >= 0) {
            // Until whoever started it goes away.
        }
        server.stop(0);
        System.exit(0);
    }

    private static void answer(HttpExchange exchange, ZipFile apk) throws IOException {
        String userAgent = exchange.getRequestHeaders().getFirst("User-Agent");
        Router router = new Router(name -> open(apk, name), DEVICE, userAgent == null ? "" : userAgent);
        Router.Answer answer = router.answer(exchange.getRequestMethod(), ORIGIN + exchange.getRequestURI());
        for (Map.Entry<String, String> header : router.headers().entrySet()) {
            exchange.getResponseHeaders().set(header.getKey(), header.getValue());
        }
        String charset = answer.encoding == null ? "" : "; charset=" + answer.encoding;
        exchange.getResponseHeaders().set("Content-Type", answer.type + charset);
        exchange.sendResponseHeaders(answer.status, answer.body == null ? -1 : 0);
        if (answer.body != null) {
            try (OutputStream out = exchange.getResponseBody(); InputStream body = answer.body) {
                body.transferTo(out);
            }
        }
        exchange.close();
    }

    private static InputStream open(ZipFile apk, String name) throws IOException {
        ZipEntry entry = apk.getEntry("assets/" + name);
        if (entry == null) {
            throw new FileNotFoundException(name);
        }
        return apk.getInputStream(entry);
    }
}
