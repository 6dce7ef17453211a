"""What people come for, as they do it: each within a dozen actions, by mouse, by keyboard, and without JavaScript where promised."""

import pytest
from browsing import Opened
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
