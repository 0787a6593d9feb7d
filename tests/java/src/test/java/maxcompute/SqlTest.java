package maxcompute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.aliyun.odps.Instance;
import com.aliyun.odps.Odps;
import com.aliyun.odps.data.Record;
import com.aliyun.odps.data.ResultSet;
import com.aliyun.odps.task.SQLTask;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Statements, and their results both ways: from the instance itself and through the instance tunnel. */
class SqlTest {
    private final Odps odps = Emulator.client();

    private String orders() throws Exception {
        String name = Emulator.table(odps, "orders",
            "(id BIGINT, city STRING, price DECIMAL(10,2)) PARTITIONED BY (pt STRING)");
        Emulator.run(odps, "INSERT INTO " + name + " PARTITION (pt='10') VALUES"
            + " (1, '杭州', 10.50BD), (2, 'Beijing', 20.25BD), (3, NULL, NULL);");
        Emulator.run(odps, "INSERT INTO " + name + " PARTITION (pt='11') VALUES (4, '杭州', 1.00BD);");
        return name;
    }

    @Test
    void resultsComeWithTheInstanceAsCsv() throws Exception {
        Instance instance = Emulator.run(odps, "SELECT id, city FROM " + orders() + " WHERE pt='10' ORDER BY id LIMIT 9;");
        List<Record> rows = SQLTask.getResult(instance);
        assertEquals(List.of("1", "2", "3"), rows.stream().map(row -> row.getString("id")).toList());
        assertEquals("杭州", rows.get(0).getString("city"));
        assertTrue(instance.isSuccessful());
        assertTrue(instance.isTerminated());
        assertEquals(Map.of(), errors(instance));
    }

    private static Map<String, Instance.TaskStatus.Status> errors(Instance instance) throws Exception {
        Map<String, Instance.TaskStatus.Status> found = new java.util.HashMap<>();
        instance.getTaskStatus().forEach((name, task) -> found.put(name, task.getStatus()));
        found.values().removeIf(status -> status == Instance.TaskStatus.Status.SUCCESS);
        return found;
    }

    @Test
    void resultsComeThroughTheInstanceTunnelWithTheirTypes() throws Exception {
        List<Record> rows = Emulator.query(odps,
            "SELECT id, city, price, pt FROM " + orders() + " WHERE pt='10' ORDER BY id LIMIT 9;");
        assertEquals(List.of(1L, 2L, 3L), rows.stream().map(row -> row.getBigint("id")).toList());
        assertEquals("杭州", rows.get(0).getString("city"));
        assertEquals(new BigDecimal("10.50"), rows.get(0).getDecimal("price").setScale(2));
        assertNull(rows.get(2).getString("city"));
        assertTrue(rows.get(2).isNull("price"));
        assertEquals("10", rows.get(2).getString("pt"));
    }

    @Test
    void aResultSetHasASchemaAndACount() throws Exception {
        Instance instance = Emulator.run(odps,
            "SELECT city, COUNT(*) AS orders, SUM(price) AS total FROM " + orders()
                + " WHERE city IS NOT NULL GROUP BY city HAVING COUNT(*) > 0 ORDER BY orders DESC LIMIT 5;");
        ResultSet results = SQLTask.getResultSet(instance);
        assertEquals(2, results.getRecordCount());
        assertEquals("BIGINT", results.getTableSchema().getColumn("orders").getTypeInfo().getTypeName());
        List<String> lines = new ArrayList<>();
        results.forEach(row -> lines.add(row.getString("city") + row.getBigint("orders")));
        assertEquals(List.of("杭州2", "Beijing1"), lines);
    }

    @Test
    void anInsertFromASelectFillsDynamicPartitions() throws Exception {
        String source = orders();
        String target = Emulator.table(odps, "copied", "(id BIGINT) PARTITIONED BY (city STRING)");
        Emulator.run(odps, "INSERT OVERWRITE TABLE " + target
            + " PARTITION (city) SELECT id, city FROM " + source + " WHERE city IS NOT NULL;");
        assertEquals(3, Emulator.count(odps, target));
        assertEquals(2, odps.tables().get(target).getPartitions().size());
        List<Record> rows = Emulator.query(odps, "SELECT id FROM " + target + " WHERE city='杭州' ORDER BY id LIMIT 9;");
        assertEquals(List.of(1L, 4L), rows.stream().map(row -> row.getBigint(0)).toList());
    }

    @Test
    void statementsWithoutRowsSayWhatTheyFound() throws Exception {
        String table = orders();
        assertEquals("pt=10\npt=11", text("SHOW PARTITIONS " + table + ";"));
        assertTrue(text("SHOW TABLES;").contains(table));
        String description = text("DESC " + table + ";");
        assertTrue(description.contains("price") && description.contains("decimal(10,2)"), description);
    }

    private String text(String sql) throws Exception {
        Instance instance = Emulator.run(odps, sql);
        return String.join("", instance.getTaskResults().values()).strip();
    }

    @Test
    void anInstanceIsFoundAgainByItsId() throws Exception {
        Instance made = Emulator.run(odps, "SELECT 1 AS one;");
        assertTrue(odps.instances().exists(made.getId()));
        assertFalse(odps.instances().exists("20260101000000000gnosuch"));
        Instance found = odps.instances().get(made.getId());
        found.reload();
        assertEquals(Instance.Status.TERMINATED, found.getStatus());
        assertTrue(((SQLTask) found.getTasks().get(0)).getQuery().contains("SELECT 1 AS one"));
        assertFalse(found.getEndTime().before(found.getStartTime()));
    }
}
