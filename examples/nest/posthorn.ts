import {
  type BeforeApplicationShutdown,
  Injectable,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import pg from 'pg';
import { createPosthorn, type Webhook } from 'posthorn';

/** The event types of this application, and their data. */
export interface Events {
  'order.created': { id: number; total: number };
}

const { DATABASE_URL: databaseUrl = 'postgres://127.0.0.1/shop' } = process.env;

/** The database of the application. */
@Injectable()
export class Database implements OnApplicationShutdown {
  readonly pool = new pg.Pool({ connectionString: databaseUrl });

  /** Runs work in a transaction, which is committed unless the work fails. */
  async transaction<Result>(work: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
    const client = await this.pool.connect();
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }
}

/** Posthorn in the process of the application: it starts before the first request, and stops after the last one. */
@Injectable()
export class Posthorn implements OnModuleInit, BeforeApplicationShutdown {
  readonly #posthorn = createPosthorn<Events>({
    databaseUrl,
    settings: {
      // The port of Posthorn's API; any that is free.
      PORT: '0',
      // For receivers on this machine. Leave it out in production.
      POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8,::1/128',
    },
  });

  /** Sends a webhook in the transaction of the client, and returns its id. */
  send(client: pg.PoolClient, webhook: Webhook<Events>): Promise<string> {
    return this.#posthorn.send(client, webhook);
  }

  get url(): string {
    return this.#posthorn.url;
  }

  async onModuleInit(): Promise<void> {
    await this.#posthorn.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.#posthorn.stop();
  }
}
