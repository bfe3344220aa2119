// The page of the API, as its users operate it.
import type { Locator, Page, Response } from 'playwright-core';

/** Opens the page, and waits until it shows the operations. */
export async function openDocs(page: Page, serviceUrl: string): Promise<void> {
  await page.goto(`${serviceUrl}/api/docs/`);
  await page.locator('.opblock').first().waitFor();
}

/** Opens an operation, and waits until Execute is shown, which then works (src/api/plugins/docs-look.ts). */
export async function openOperation(page: Page, operationId: string): Promise<Locator> {
  const operation = page.locator(`.opblock[id$="-${operationId}"]`);
  await operation.locator('.opblock-summary-control').click();
  await operation.locator('.execute').waitFor();
  return operation;
}

/** Closes an operation: Swagger UI renders all that are open again whenever one of them changes. */
export async function closeOperation(operation: Locator): Promise<void> {
  await operation.locator('.opblock-summary-control').click();
  await operation.locator('.opblock-body').waitFor({ state: 'detached' });
}

/** Presses Execute, and returns the answer when the page shows it. */
export async function execute(page: Page, operation: Locator): Promise<Response> {
  const [response] = await Promise.all([
    page.waitForResponse((one) => one.request().resourceType() === 'fetch'),
    operation.locator('.execute').click(),
  ]);
  await operation
    .locator('.live-responses-table .response-col_status', { hasText: String(response.status()) })
    .waitFor();
  return response;
}

/** Gives the page a key, which it then sends with each request. */
export async function authorize(page: Page, key: string): Promise<void> {
  await page.locator('.btn.authorize').first().click();
  const dialog = page.locator('.modal-ux');
  await dialog.locator('input').fill(key);
  await dialog.getByRole('button', { name: 'Apply credentials' }).click();
  await dialog.locator('.btn-done').click();
  await dialog.waitFor({ state: 'detached' });
}
