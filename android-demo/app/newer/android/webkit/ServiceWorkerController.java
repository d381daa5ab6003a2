package android.webkit;

/** A class of Android 7, newer than what the app is compiled against, with what of it the app needs; not packed. */
public abstract class ServiceWorkerController {
    public static ServiceWorkerController getInstance() {
        throw new UnsupportedOperationException();
    }

    public abstract void setServiceWorkerClient(ServiceWorkerClient client);
}
