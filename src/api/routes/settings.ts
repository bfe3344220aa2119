import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { SETTING_SOURCES } from '../../config/in-force.ts';
import { described, named, nullable, oneOf, problems } from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

const Setting = named('Setting', {
  name: Type.String({ description: 'The name of the variable in the environment.' }),
  value: nullable(
    Type.String({
      description:
        'The text that is in force. Of a URL with a password, only scheme, host, port and path. Null: the setting is not set and has no default; or, if `is_secret` is true and `source` is not default, it is set and not shown.',
    }),
  ),
  default: nullable(Type.String({ description: 'The text that applies if the setting is unset.' })),
  source: oneOf(
    SETTING_SOURCES,
    'Where the text comes from: the environment, the file .env in the working directory, or the default.',
  ),
  is_secret: Type.Boolean({
    description: 'Whether the text, or a part of it such as a password, is never shown.',
  }),
  meaning: Type.String({ description: 'A description of the setting. Code is in backticks.' }),
});

/** The settings with which the service runs. */
export const settingRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { settings } },
) => {
  app.get(
    '/v1/settings',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'getSettings',
        summary: 'Get the settings in force, without secrets',
        description:
          'Settings are read from the environment at the start of the service. They are those of the process that answers; other workers may have others.',
        tags: ['service'],
        response: {
          200: described(
            'All settings, in the order of the README.',
            Type.Object({ settings: Type.Array(Setting) }),
          ),
          ...problems(401),
        },
      },
    },
    async () => ({ settings: [...settings.inForce] }),
  );
};
