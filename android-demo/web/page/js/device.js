// What this device and this browser are called, as far as they say so.

/** {name, conditions} for a measurement. The server or the app may say more in device.json. */
export async function device() {
  const { name, ...told } = await (await fetch("device.json")).json();
  const hints = await hinted();
  const agent = navigator.userAgent;
  return {
    name: name || hints.model || modelIn(agent) || hints.platform || navigator.platform,
    conditions: {
      ...told,
      browser: browserIn(agent),
      user_agent: agent,
      system: told.system ?? ([hints.platform, hints.platformVersion].filter((part) => part).join(" ") || null),
      cores: navigator.hardwareConcurrency ?? null,
      device_memory_gb: navigator.deviceMemory ?? null,
      isolated: self.crossOriginIsolated ?? false,
    },
  };
}

async function hinted() {
  try {
    return (await navigator.userAgentData?.getHighEntropyValues(["model", "platform", "platformVersion"])) ?? {};
  } catch {
    return {};
  }
}

/** "Android 13; TECNO BF7 Build/TP1A)" -> "TECNO BF7"; Chrome writes K where it does not say. */
export function modelIn(agent) {
  const found = /Android [\d.]+; (?:wv; )?([^;)]+?)(?: Build\/[^;)]*)?[;)]/.exec(agent);
  return found && found[1] !== "K" ? found[1].trim() : null;
}

/** "Chrome/120.0.1 ...; wv" -> "Android System WebView 120.0.1". */
export function browserIn(agent) {
  const found = /(Firefox|Edg|Chrome)\/([\d.]+)/.exec(agent) ?? /(Version)\/([\d.]+).*Safari/.exec(agent);
  if (!found) return agent;
  const name = /; wv\)/.test(agent) ? "Android System WebView" : { Edg: "Edge", Version: "Safari" }[found[1]] ?? found[1];
  return `${name} ${found[2]}`;
}
