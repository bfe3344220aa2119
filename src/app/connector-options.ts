import type { Settings } from '../config/settings.ts';
import type { ConnectorOptions } from '../http/connector.ts';

/** The part of the settings that says which receivers are connected to, and how. */
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
