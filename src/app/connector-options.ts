import type { Settings } from '../config/settings.ts';
import type { ConnectorOptions } from '../http/connector.ts';

/** Picks the settings for connections to receivers. */
export function connectorOptionsOf(
  settings: Pick<
    Settings,
    'deliveryTimeoutMs' | 'allowNetworks' | 'denyNetworks' | 'allowPorts' | 'egressProxy'
  >,
): ConnectorOptions {
  return {
    timeoutMs: settings.deliveryTimeoutMs,
    allowNetworks: settings.allowNetworks,
    denyNetworks: settings.denyNetworks,
    allowPorts: settings.allowPorts,
    egressProxy: settings.egressProxy,
  };
}
