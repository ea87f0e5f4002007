"""What a person does in the pages of a Prefect server, in a headless Chromium.

    browser.py SERVER show PATH PICTURE [--tab NAME] [--expect TEXT ...]
    browser.py SERVER run DEPLOYMENT [--parameter NAME=VALUE ...]
    browser.py SERVER cancel FLOW_RUN

`show` waits until the page shows all the texts, then takes a picture of it and
prints the page's text; `run` fills the form that starts a deployment; `cancel`
presses the buttons of a flow run's menu. Each ends with an error that says what
the page showed instead.
"""

import argparse
import os
import re
import shutil
import sys

from playwright.sync_api import TimeoutError, expect, sync_playwright

PATIENCE = 60_000  # milliseconds
# Without these Chromium looks for its maker's hosts.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium():
    for name in (os.environ.get("FLOW_CHROMIUM"), "chromium", "chromium-browser"):
        path = name and shutil.which(name)
        if path:
            return path
    sys.exit("there is no Chromium: install Debian's package `chromium`, or set FLOW_CHROMIUM")


def visit(page, address):
    page.goto(address, wait_until="domcontentloaded")


def show(page, options):
    visit(page, f"{options.server}/{options.path.lstrip('/')}")
    if options.tab:
        page.locator(".p-tab", has_text=options.tab).or_(page.get_by_text(options.tab, exact=True)).first.click()
    for text in options.expect:
        expect(page.get_by_text(text).first).to_be_visible()
    # The graph is drawn on a canvas, some time after its data has come.
    page.wait_for_timeout(3_000)
    page.screenshot(path=options.picture)
    print(page.inner_text("body"))


def run(page, options):
    visit(page, f"{options.server}/deployments/deployment/{options.deployment}/run")
    submit = page.get_by_role("button", name="Submit")
    submit.wait_for()
    for parameter in options.parameter:
        name, value = parameter.split("=", 1)
        field = page.locator(".schema-form-property").filter(
            has=page.locator(".schema-form-property__label", has_text=re.compile(rf"^{re.escape(name)}\b"))
        )
        field = field.locator("input, textarea")
        field.first.fill(value)
    submit.click()
    page.wait_for_url(lambda address: not address.endswith("/run"))
    print(page.url)


def cancel(page, options):
    visit(page, f"{options.server}/runs/flow-run/{options.flow_run}")
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_role("button", name="Confirm").or_(
        page.get_by_role("dialog").get_by_role("button", name=re.compile("Cancel"))
    ).last.click()
    expect(page.get_by_text(re.compile("Cancell(ing|ed)")).first).to_be_visible()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    actions = parser.add_subparsers(required=True)
    action = actions.add_parser("show")
    action.add_argument("path")
    action.add_argument("picture")
    action.add_argument("--tab")
    action.add_argument("--expect", action="append", default=[])
    action.set_defaults(do=show)
    action = actions.add_parser("run")
    action.add_argument("deployment")
    action.add_argument("--parameter", action="append", default=[])
    action.set_defaults(do=run)
    action = actions.add_parser("cancel")
    action.add_argument("flow_run")
    action.set_defaults(do=cancel)
    options = parser.parse_args()

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE)
        try:
            options.do(page, options)
        except (TimeoutError, AssertionError) as error:
            sys.exit(f"{error}\n\nthe page at {page.url} shows:\n{page.inner_text('body')}")
        finally:
            browser.close()


main()
