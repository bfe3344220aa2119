// An application that stores orders, and sends a webhook for each in the same transaction. Posthorn runs in its process.
//
//   npm run build && DATABASE_URL=postgres://… npm start
//   curl http://127.0.0.1:3000/orders -H 'content-type: application/json' -d '{"total": 12.5}'
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from './orders.js';
import { Posthorn } from './posthorn.js';

const { PORT = '3000' } = process.env;
const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), {
  logger: ['error', 'warn'],
});
// A signal lets requests and deliveries in flight finish, and then ends the process with 0.
app.enableShutdownHooks([], { useProcessExit: true });
await app.listen(PORT, '127.0.0.1');
console.log(`orders at ${await app.getUrl()}, Posthorn at ${app.get(Posthorn).url}`);
