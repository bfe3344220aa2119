import { Type } from 'typebox';
import { MAX_TENANT_LENGTH } from '../plugins/access.ts';

/** The path of a tenant. Any text is allowed: tenants that were made by SQL may have ids that this API would refuse. */
export const TenantParams = Type.Object({
  tenant_id: Type.String({
    maxLength: MAX_TENANT_LENGTH,
    description: 'The id of a tenant.',
    examples: ['acme'],
  }),
});
