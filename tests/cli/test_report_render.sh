# SPDX-License-Identifier: Apache-2.0
# A report in a browser: nothing wider than the page on large and small screens, in light and dark,
# all pictures decoded. Without Chromium the test says that it skips.
. "$(dirname "$0")/lib.sh"

for browser in chromium chromium-browser google-chrome ''; do
    command -v "${browser:-none}" >/dev/null && break
done
if [ -z "$browser" ]; then
    echo 'SKIPPED: no Chromium to render a report with (package chromium)'
    exit 77
fi

make_model in.model 1 3 16 16 2 2 8
make_model general.model 2 3 16 16 2 3 8
name=a-name-that-is-much-longer-than-anybody-would-like-it-to-be-and-does-not-break
run 0 eval -m in.model -g general.model --in synthetic:shapes --out-of "$name=synthetic:noise" \
    --out-of flat=synthetic:flat --limit 30 -q --report page.html

# The report has no script: it is measured from a page around it, in a frame of each width. Whatever
# is wider than the frame and cannot be scrolled on its own is named.
cat >measure.js <<'TEXT'
window.onload = () => {
    const found = [];
    for (const frame of document.querySelectorAll("iframe")) {
        const page = frame.contentDocument, root = page.documentElement;
        const images = [...page.images];
        const broken = images.filter(i => !i.complete || i.naturalWidth === 0).length;
        const squeezed = images.filter(i => i.closest(".pair") &&
            Math.abs(i.clientWidth - i.clientHeight) > 1).length;
        const charts = [...page.querySelectorAll("svg")].filter(c =>
            c.getBoundingClientRect().width < 150).length;
        // tables have shadows that say where they go on
        const plain = [...page.querySelectorAll(".scroll")].filter(t => frame.contentWindow
            .getComputedStyle(t).backgroundAttachment !== "local, local, scroll, scroll").length;
        const text = getComputedStyle === undefined ? "" :
            frame.contentWindow.getComputedStyle(page.body).color;
        found.push(`width=${root.clientWidth} overflow=${root.scrollWidth - root.clientWidth} ` +
            `images=${images.length} broken=${broken} squeezed=${squeezed} charts=${charts} ` +
            `plain=${plain} text=${text}`);
    }
    document.title = found.join(";");
};
TEXT
{
    printf '<!DOCTYPE html><html><head><meta charset="utf-8"><title>none</title><script>'
    cat measure.js
    printf '</script></head><body>'
    for width in 1280 400; do
        printf '<iframe style="width:%spx;height:900px;border:0" srcdoc="' "$width"
        sed 's/&/\&amp;/g; s/"/\&quot;/g' page.html
        printf '"></iframe>'
    done
    printf '</body></html>'
} >around.html

# render OPTION...: prints the title that the script has set.
render() {
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars \
        --user-data-dir="$folder/profile" --window-size=1400,1000 --dump-dom "$@" \
        "file://$folder/around.html" 2>"$err" | grep -o '<title>[^<]*' | head -n 1 |
        sed 's/<title>//' | tr ';' '\n'
}

command="$browser --dump-dom"
render >light
render --blink-settings=preferredColorScheme=0 >dark
for scheme in light dark; do
    for width in 1280 400; do
        checks=$((checks + 1))
        grep -q "^width=$width overflow=0 images=97 broken=0 squeezed=0 charts=0 plain=0 " \
            $scheme ||
            fail "$scheme, $width: $(cat $scheme)"
    done
done
checks=$((checks + 1))
if cmp -s light dark; then fail 'light and dark have the same colours'; fi
finish
