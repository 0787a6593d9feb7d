package maxcompute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a JDBC client such as DBeaver does: connect by user and password, draw the tree, run statements. */
class JdbcTest {
    private static final String PROJECT = System.getenv("MAXCOMPUTE_PROJECT");
    private final String table = "jdbc_" + UUID.randomUUID().toString().replace("-", "");
    private Connection connection;

    private static Connection connect(String key, String options) throws SQLException {
        Properties who = new Properties();
        who.put("user", System.getenv("MAXCOMPUTE_ACCESS_ID"));
        who.put("password", key);
        String address = "jdbc:odps:" + System.getenv("MAXCOMPUTE_ENDPOINT") + "?project=" + PROJECT + options;
        return DriverManager.getConnection(address, who);
    }

    private static Connection connect(String options) throws SQLException {
        return connect(System.getenv("MAXCOMPUTE_ACCESS_KEY"), options);
    }

    @BeforeEach
    void connectAndCreate() throws SQLException {
        connection = connect("");
        run("CREATE TABLE " + table + " (id BIGINT COMMENT 'the key', name STRING, price DECIMAL(10,2), at DATETIME,"
            + " tags ARRAY<STRING>) COMMENT 'things' PARTITIONED BY (pt STRING)");
        run("INSERT INTO " + table + " PARTITION (pt='1')"
            + " SELECT 1, '名 \"x\"', 1.50BD, DATETIME '2024-01-02 03:04:05', ARRAY('a', 'b')");
    }

    @AfterEach
    void close() throws SQLException {
        connection.close();
    }

    private void run(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    private static List<String> column(ResultSet results, String label) throws SQLException {
        List<String> found = new ArrayList<>();
        while (results.next()) {
            found.add(results.getString(label));
        }
        results.close();
        return found;
    }

    @Test
    void aWrongKeyIsRefused() {
        // The driver lets its SDK's own exception through.
        Exception refused = assertThrows(Exception.class, () -> connect("wrong", ""));
        assertTrue(refused.getMessage().contains("ODPS-0410042"), refused.getMessage());
    }

    @Test
    void valuesComeWithTheirTypes() throws SQLException {
        try (Statement statement = connection.createStatement();
            ResultSet row = statement.executeQuery("SELECT * FROM " + table + " WHERE pt='1'")) {
            assertEquals(Types.BIGINT, row.getMetaData().getColumnType(1));
            assertEquals("DECIMAL(10,2)", row.getMetaData().getColumnTypeName(3));
            assertTrue(row.next());
            assertEquals(1, row.getLong("id"));
            assertEquals("名 \"x\"", row.getString("name"));
            assertEquals(new BigDecimal("1.50"), row.getBigDecimal("price"));
            assertEquals(Timestamp.valueOf("2024-01-02 03:04:05"), row.getTimestamp("at"));
            assertEquals("[a, b]", row.getObject("tags").toString());
            assertEquals("1", row.getString("pt"));
            assertFalse(row.next());
        }
    }

    @Test
    void anInsertSaysHowManyRowsItWrote() throws SQLException {
        try (Statement statement = connection.createStatement()) {
            String insert = "INSERT INTO " + table + " PARTITION (pt='2') (id, name) VALUES (2, 'y'), (3, NULL)";
            assertEquals(2, statement.executeUpdate(insert));
            ResultSet rows = statement.executeQuery("SELECT name FROM " + table + " WHERE pt='2' ORDER BY name LIMIT 9");
            assertTrue(rows.next());
            assertNull(rows.getString(1));
            assertTrue(rows.wasNull());
            assertTrue(rows.next());
            assertEquals("y", rows.getString(1));
        }
    }

    @Test
    void aFetchIsBoundedByTheClient() throws SQLException {
        run("INSERT INTO " + table + " PARTITION (pt='3') (id) VALUES (1), (2), (3), (4)");
        try (Statement statement = connection.createStatement()) {
            statement.setMaxRows(3);
            statement.setFetchSize(2);
            String query = "SELECT id FROM " + table + " WHERE pt='3' ORDER BY id LIMIT 9";
            assertEquals(List.of("1", "2", "3"), column(statement.executeQuery(query), "id"));
        }
    }

    @Test
    void settingsStayWithTheStatement() throws SQLException {
        String query = "SELECT CAST(at AS STRING) AS at FROM " + table + " WHERE id = 1";
        try (Statement statement = connection.createStatement()) {
            statement.execute("SET odps.sql.timezone=UTC;");
            assertEquals(List.of("2024-01-01 19:04:05"), column(statement.executeQuery(query), "at"));
            ResultSet tokyo = statement.executeQuery("SET odps.sql.timezone=Asia/Tokyo; -- there\n" + query + ";");
            assertEquals(List.of("2024-01-02 04:04:05"), column(tokyo, "at"));
        }
    }

    @Test
    void statementsWithoutRowsSayWhatTheyFound() throws SQLException {
        try (Statement statement = connection.createStatement()) {
            assertEquals("pt=1", String.join("", column(statement.executeQuery("SHOW PARTITIONS " + table), "Info")).strip());
            assertTrue(String.join("", column(statement.executeQuery("DESC " + table), "Info")).contains("decimal(10,2)"));
        }
    }

    @Test
    void whatFailsSaysWhyAndWhere() throws SQLException {
        try (Statement statement = connection.createStatement()) {
            SQLException missing = assertThrows(SQLException.class, () -> statement.executeQuery("SELECT * FROM nosuch"));
            assertTrue(missing.getMessage().contains("ODPS-0130131:[1,15]"), missing.getMessage());
            SQLException malformed = assertThrows(SQLException.class, () -> statement.execute("SELECT 1 +"));
            assertTrue(malformed.getMessage().contains("ODPS-0130161"), malformed.getMessage());
        }
    }

    @Test
    void preparedStatementsTakeTheirValues() throws SQLException {
        try (PreparedStatement query = connection.prepareStatement(
            "SELECT name, ? AS i, ? AS f, ? AS n FROM " + table + " WHERE id = ? AND name = ? AND price = ?")) {
            query.setInt(1, 7);
            query.setFloat(2, 1.5f);
            query.setNull(3, Types.VARCHAR);
            query.setLong(4, 1);
            query.setString(5, "名 \"x\"");
            query.setBigDecimal(6, new BigDecimal("1.50"));
            ResultSet row = query.executeQuery();
            assertTrue(row.next());
            assertEquals(7, row.getInt("i"));
            assertEquals(1.5f, row.getFloat("f"));
            assertNull(row.getString("n"));
            assertFalse(row.next());
        }
    }

    @Test
    void aViewIsReadAndListed() throws SQLException {
        String view = table + "_view";
        run("CREATE OR REPLACE VIEW " + view + " AS SELECT id, name FROM " + table + " WHERE pt = '1'");
        try (Statement statement = connection.createStatement()) {
            assertEquals(List.of("1"), column(statement.executeQuery("SELECT id FROM " + view), "id"));
        }
        var tree = connection.getMetaData();
        for (String kind : new String[] {"TABLE", "VIEW"}) {
            List<String> names = column(tree.getTables(PROJECT, PROJECT, view, new String[] {kind}), "TABLE_NAME");
            assertEquals(kind.equals("VIEW") ? List.of(view) : List.of(), names);
        }
        run("DROP VIEW " + view);
    }

    @Test
    void aBatchIsUploadedThroughTunnel() throws SQLException {
        run("CREATE TABLE " + table + "_batch (id BIGINT, name STRING, at DATETIME)");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO " + table + "_batch VALUES (?, ?, ?)")) {
            for (long id = 0; id < 3; id++) {
                insert.setLong(1, id);
                insert.setString(2, "n" + id);
                insert.setTimestamp(3, Timestamp.valueOf("2024-01-02 03:04:05"));
                insert.addBatch();
            }
            assertEquals(3, insert.executeBatch().length);
        }
        try (Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery("SELECT CONCAT(id, name, at) AS v FROM " + table + "_batch ORDER BY v LIMIT 9");
            assertEquals(List.of("0n02024-01-02 03:04:05", "1n12024-01-02 03:04:05", "2n22024-01-02 03:04:05"), column(rows, "v"));
        }
    }

    @Test
    void theTreeIsDrawn() throws SQLException {
        var tree = connection.getMetaData();
        assertEquals(List.of(PROJECT), column(tree.getCatalogs(), "TABLE_CAT"));
        assertEquals(List.of(PROJECT), column(tree.getSchemas(), "TABLE_SCHEM"));
        for (String schema : new String[] {PROJECT, "%", null}) {
            ResultSet found = tree.getTables(PROJECT, schema, table, new String[] {"TABLE"});
            assertTrue(found.next(), "tables of schema " + schema);
            assertEquals(PROJECT, found.getString("TABLE_SCHEM"));
            assertEquals(table, found.getString("TABLE_NAME"));
            assertEquals("things", found.getString("REMARKS"));
            assertFalse(found.next());
        }
        assertEquals(List.of(), column(tree.getTables(PROJECT, PROJECT, table, new String[] {"VIEW"}), "TABLE_NAME"));
        assertEquals(List.of(), column(tree.getFunctions(PROJECT, null, "%"), "FUNCTION_NAME"));
        ResultSet columns = tree.getColumns(PROJECT, PROJECT, table, "%");
        assertTrue(columns.next());
        assertEquals("the key", columns.getString("REMARKS"));
        assertEquals(Types.BIGINT, columns.getInt("DATA_TYPE"));
        assertEquals(List.of("STRING", "DECIMAL(10,2)", "DATETIME", "ARRAY<STRING>", "STRING"), column(columns, "TYPE_NAME"));
    }

    @Test
    void otherWaysToConnect() throws SQLException {
        String query = "SELECT id FROM " + table + " WHERE pt='1'";
        // A query accelerator isn't emulated: the driver falls back to jobs by itself.
        for (String options : List.of("&interactiveMode=true", "&enableLimit=false", "&useProjectTimeZone=true")) {
            try (Connection other = connect(options); Statement statement = other.createStatement()) {
                assertEquals(List.of("1"), column(statement.executeQuery(query), "id"), options);
            }
        }
    }
}
