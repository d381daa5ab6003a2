package org.edgeafri.demo;

import android.app.Activity;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;

/** Android 16's way to hear of the back gesture, called by name: it is newer than what the app is compiled against. */
final class BackGesture {
    private static final String PACKAGE = "android.window.";

    private BackGesture() {}

    /** Run `back` whenever the user goes back, in place of leaving the activity. */
    static void listen(Activity activity, final Runnable back) {
        try {
            Class<?> callback = Class.forName(PACKAGE + "OnBackInvokedCallback");
            Object listener = Proxy.newProxyInstance(callback.getClassLoader(), new Class<?>[] {callback}, new InvocationHandler() {
                @Override
                public Object invoke(Object proxy, Method method, Object[] given) {
                    return answer(proxy, method.getName(), given, back);
                }
            });
            Object dispatcher = Activity.class.getMethod("getOnBackInvokedDispatcher").invoke(activity);
            Class.forName(PACKAGE + "OnBackInvokedDispatcher")
                    .getMethod("registerOnBackInvokedCallback", int.class, callback)
                    .invoke(dispatcher, 0, listener);
        } catch (ReflectiveOperationException missing) {
            throw new IllegalStateException(missing); // both are public API since Android 13
        }
    }

    /** A listener is kept in collections, so it must answer as an object does. */
    static Object answer(Object proxy, String method, Object[] given, Runnable back) {
        switch (method) {
            case "onBackInvoked":
                back.run();
                return null;
            case "equals":
                return proxy == given[0];
            case "hashCode":
                return System.identityHashCode(proxy);
            case "toString":
                return "BackGesture";
            default:
                return null;
        }
    }
}
