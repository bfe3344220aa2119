// mvn compile exec:java
import static org.jooq.impl.DSL.field;
import static org.jooq.impl.DSL.table;

import java.util.UUID;
import org.jooq.DSLContext;
import org.jooq.JSONFormat;
import org.jooq.JSONFormat.RecordFormat;
import org.jooq.impl.DSL;

public class Main {
  static final JSONFormat OBJECT = new JSONFormat().header(false).recordFormat(RecordFormat.OBJECT);

  /** Stores the order and sends the webhook in one transaction: both happen, or neither. */
  static void placeOrder(DSLContext database, String customer, int total) {
    database.transaction(configuration -> {
      DSLContext transaction = configuration.dsl();
      var order = transaction
          .insertInto(table("orders"), field("customer"), field("total"))
          .values(customer, total)
          .returning(field("id"), field("customer"), field("total"))
          .fetchSingle();
      UUID webhookId = transaction
          .resultQuery("select posthorn.send('order.created', ?::text::jsonb)", order.formatJSON(OBJECT))
          .fetchSingle(0, UUID.class);
      System.out.println("order " + order.get("id") + ": webhook " + webhookId);
      if (total > 50_000) throw new IllegalStateException("payment declined");
    });
  }

  public static void main(String[] args) {
    // JDBC has URLs of its own form: jdbc:postgresql://localhost/shop?user=…&password=…
    try (var database = DSL.using(System.getenv("DATABASE_URL"))) {
      placeOrder(database, "Zoë", 1250);
      try {
        // This order is rolled back, and its webhook with it.
        placeOrder(database, "Zoë", 99_000);
      } catch (IllegalStateException error) {
        System.out.println("rolled back: " + error.getMessage());
      }
    }
  }
}
