"""A headless Chromium with a profile of its own, for looking at the map page as a person would."""

import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from . import env
from .wait import wait_for

PICTURES = env.TARGET / "map"
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
DESKTOP, PHONE = (1280, 800), (390, 844)
# No GPU, no sandbox (it runs as root, too), and no word to anybody but the server that is asked.
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
         "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--lang=en-GB")

# How many pixels of the visible canvas of a layer have a colour of the style sheet, and the box that they lie in.
PIXELS = """
    const [layer, name] = arguments;
    const canvas = [...document.querySelectorAll(`.leaflet-${layer}-pane canvas`)].find((one) => one.style.visibility !== 'hidden');
    if (!canvas || !canvas.width) return {count: 0};
    const copy = (width, height) => Object.assign(document.createElement('canvas'), {width, height}).getContext('2d', {willReadFrequently: true});
    const probe = copy(1, 1);
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    const seen = copy(canvas.width, canvas.height);
    seen.drawImage(canvas, 0, 0);
    const {data, width} = seen.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0, left = Infinity, top = Infinity, right = -1, bottom = -1;
    for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] < 250 || Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) > 12) continue;
        const x = at / 4 % width, y = Math.floor(at / 4 / width);
        count++;
        left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
    return {count, width: right - left, height: bottom - top};"""


class Browser:
    """Use as a context manager."""

    def __enter__(self):
        self._profile = tempfile.TemporaryDirectory(prefix="osrm_matcher.browser.")
        options = Options()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(str(DRIVER)), options=options)
        self.look()
        return self

    def __exit__(self, *_):
        self.driver.quit()
        self._profile.cleanup()

    def look(self, size=DESKTOP, dark=False):
        """As on a screen of a size, by day or by night."""
        width, height = size
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE})
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, address):
        """Opens a page anew, even if only what stands behind the # has changed."""
        self.leave()
        self.said()
        self.driver.get(address)

    def leave(self):
        self.driver.get("about:blank")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """What an element says, seen or not."""
        return self.run("return document.querySelector(arguments[0])?.textContent", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", selector)

    def is_shown(self, selector):
        return self.find(selector).is_displayed()

    def click(self, selector):
        self.find(selector).click()

    def press(self, *keys):
        """Keys for whatever has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def pixels(self, layer, colour):
        return self.run(PIXELS, layer, colour)

    def said(self):
        """What the console has been told since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def until(self, condition, what, timeout=60):
        try:
            return wait_for(condition, timeout, what)
        except TimeoutError:
            self.keep("failure")
            raise

    def keep(self, name):
        """Leaves a picture of the screen in target/map."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(PICTURES / f"{name}.png"))
        return PICTURES / f"{name}.png"
