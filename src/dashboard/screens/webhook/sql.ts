const ATTEMPTS = `select subscription_id, attempt_number, at, status, response_code, duration_ms, error, response_excerpt
from posthorn.delivery_attempts`;

/** SQL that shows what the screen shows. Ids have no quotes in them. */
export function sqlOfWebhook(webhookId: string): string {
  return `select * from posthorn.deliveries where webhook_id = '${webhookId}';
${ATTEMPTS} where webhook_id = '${webhookId}' order by at;
`;
}

export function sqlOfDelivery(webhookId: string, subscriptionId: number): string {
  const where = `where webhook_id = '${webhookId}' and subscription_id = ${subscriptionId}`;
  return `select * from posthorn.deliveries ${where};
${ATTEMPTS} ${where} order by at;
`;
}
