// cargo run
use serde::Serialize;
use sqlx::{PgPool, types::Uuid};
use std::{env, error::Error};

#[derive(Default, Serialize)]
struct Order {
    id: i32,
    customer: String,
    total: i32,
}

/// Stores the order and sends the webhook in one transaction: both happen, or neither.
async fn place_order(pool: &PgPool, mut order: Order) -> Result<(), Box<dyn Error>> {
    let mut transaction = pool.begin().await?;
    let insert = "insert into orders (customer, total) values ($1, $2) returning id";
    order.id = sqlx::query_scalar(insert)
        .bind(&order.customer)
        .bind(order.total)
        .fetch_one(&mut *transaction)
        .await?;
    let send = "select posthorn.send('order.created', $1::text::jsonb)";
    let webhook_id: Uuid = sqlx::query_scalar(send)
        .bind(serde_json::to_string(&order)?)
        .fetch_one(&mut *transaction)
        .await?;
    println!("order {}: webhook {webhook_id}", order.id);
    if order.total > 50_000 {
        return Err("payment declined".into());
    }
    transaction.commit().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(&env::var("DATABASE_URL")?).await?;
    let order = |total| Order {
        customer: "Zoë".into(),
        total,
        ..Order::default()
    };
    place_order(&pool, order(1250)).await?;
    // This order is rolled back, and its webhook with it.
    if let Err(error) = place_order(&pool, order(99_000)).await {
        println!("rolled back: {error}");
    }
    Ok(())
}
