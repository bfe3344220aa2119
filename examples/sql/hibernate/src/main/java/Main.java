// mvn compile exec:java
import com.fasterxml.jackson.databind.ObjectMapper;
import jakarta.persistence.Entity;
import jakarta.persistence.GeneratedValue;
import jakarta.persistence.GenerationType;
import jakarta.persistence.Id;
import jakarta.persistence.Table;
import java.util.UUID;
import org.hibernate.SessionFactory;
import org.hibernate.jpa.HibernatePersistenceConfiguration;

public class Main {
  @Entity
  @Table(name = "orders")
  public static class Order {
    @Id
    @GeneratedValue(strategy = GenerationType.IDENTITY)
    public Integer id;
    public String customer;
    public int total;
  }

  static final String SEND =
      "select posthorn.send('order.created', cast(cast(:data as text) as jsonb))";

  /** Stores the order and sends the webhook in one transaction: both happen, or neither. */
  static void placeOrder(SessionFactory database, String customer, int total) {
    database.inTransaction(session -> {
      var order = new Order();
      order.customer = customer;
      order.total = total;
      session.persist(order);
      String data = new ObjectMapper().valueToTree(order).toString();
      UUID webhookId = session.createNativeQuery(SEND, UUID.class)
          .setParameter("data", data)
          .getSingleResult();
      System.out.println("order " + order.id + ": webhook " + webhookId);
      if (total > 50_000) throw new IllegalStateException("payment declined");
    });
  }

  public static void main(String[] args) {
    // JDBC has URLs of its own form: jdbc:postgresql://localhost/shop?user=…&password=…
    try (var database = new HibernatePersistenceConfiguration("shop")
        .jdbcUrl(System.getenv("DATABASE_URL"))
        .managedClass(Order.class)
        .createEntityManagerFactory()) {
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
