package org.edgeafri.demo;

import android.content.res.AssetManager;
import java.io.IOException;
import java.io.InputStream;

/** The files packed into the app. A model is read as it is needed, never held whole. */
final class Assets implements Router.Files {
    private final AssetManager assets;

    Assets(AssetManager assets) {
        this.assets = assets;
    }

    @Override
    public InputStream open(String name) throws IOException {
        return assets.open(name, AssetManager.ACCESS_STREAMING);
    }
}
