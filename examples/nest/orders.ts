import {
  BadRequestException,
  Body,
  Controller,
  Injectable,
  Module,
  type OnModuleInit,
  Post,
} from '@nestjs/common';
import { Database, Posthorn } from './posthorn.js';

@Injectable()
export class Orders implements OnModuleInit {
  constructor(
    private readonly database: Database,
    private readonly posthorn: Posthorn,
  ) {}

  async onModuleInit(): Promise<void> {
    await this.database.pool.query(`create table if not exists orders (
      id integer generated always as identity primary key,
      total numeric not null check (total > 0)
    )`);
  }

  /** Stores an order, and sends a webhook about it: both, or neither. */
  create(total: number): Promise<{ id: number; webhook_id: string }> {
    return this.database.transaction(async (client) => {
      const stored = await client.query<{ id: number }>(
        'insert into orders (total) values ($1) returning id',
        [total],
      );
      const { id } = stored.rows[0] as { id: number };
      const data = { id, total };
      const webhook_id = await this.posthorn.send(client, { eventType: 'order.created', data });
      return { id, webhook_id };
    });
  }
}

@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: Orders) {}

  @Post()
  create(@Body() body: { total?: unknown }): Promise<{ id: number; webhook_id: string }> {
    if (typeof body?.total !== 'number') throw new BadRequestException('total must be a number');
    return this.orders.create(body.total);
  }
}

@Module({ controllers: [OrdersController], providers: [Database, Posthorn, Orders] })
export class AppModule {}
