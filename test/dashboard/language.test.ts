import t from 'tap';
import { testInBrowser } from '../helpers/browser.ts';
import { openScreen } from '../helpers/dashboard.ts';
import { startTestService } from '../helpers/service.ts';

const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });

// Chrome on Linux has it with LANG=C, and JavaScript refuses it.
testInBrowser(
  'the pages work in a browser whose language has a name that is not valid',
  {},
  async (_t, { page }) => {
    await page.addInitScript(
      `Object.defineProperty(navigator, 'language', { value: 'en-US@posix', configurable: true })`,
    );
    await openScreen(page, posthorn, 'subscriptions');
    await page.getByText('There are no subscriptions yet').waitFor();
  },
);
