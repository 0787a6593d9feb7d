package maxcompute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.aliyun.odps.Column;
import com.aliyun.odps.Odps;
import com.aliyun.odps.PartitionSpec;
import com.aliyun.odps.Project;
import com.aliyun.odps.Table;
import com.aliyun.odps.TableFilter;
import com.aliyun.odps.TableSchema;
import com.aliyun.odps.data.Record;
import com.aliyun.odps.data.RecordReader;
import com.aliyun.odps.type.TypeInfoFactory;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Projects, tables and partitions by the REST resources. */
class MetadataTest {
    private final Odps odps = Emulator.client();

    @Test
    void aProjectIsThereOrNot() throws Exception {
        assertTrue(odps.projects().exists(Emulator.PROJECT));
        assertFalse(odps.projects().exists("no_such_project"));
        Project project = odps.projects().get();
        project.reload();
        assertEquals(Emulator.PROJECT, project.getName());
        assertEquals(Project.Status.AVAILABLE, project.getStatus());
        assertNotNull(project.getOwner());
        assertNotNull(project.getCreatedTime());
        assertNotNull(project.getTunnelEndpoint());
    }

    @Test
    void aTableIsCreatedReloadedAndDropped() throws Exception {
        String name = Emulator.tableName("made");
        TableSchema schema = TableSchema.builder()
            .withColumn(Column.newBuilder("id", TypeInfoFactory.BIGINT).withComment("编号").build())
            .withColumn(Column.newBuilder("offset", TypeInfoFactory.STRING).build()) // a reserved word
            .withColumn(Column.newBuilder("tags", TypeInfoFactory.getArrayTypeInfo(TypeInfoFactory.STRING)).build())
            .withPartitionColumn(Column.newBuilder("pt", TypeInfoFactory.STRING).build())
            .build();
        assertFalse(odps.tables().exists(name));
        odps.tables().newTableCreator(Emulator.PROJECT, name, schema).withComment("a comment").withLifeCycle(7L)
            .create();
        assertTrue(odps.tables().exists(name));

        Table table = odps.tables().get(name);
        table.reload();
        assertEquals(name, table.getName());
        assertEquals("a comment", table.getComment());
        assertEquals(7, table.getLife());
        assertEquals(Table.TableType.MANAGED_TABLE, table.getType());
        assertTrue(table.isPartitioned());
        assertNotNull(table.getOwner());
        assertNotNull(table.getCreatedTime());
        TableSchema found = table.getSchema();
        assertEquals(List.of("id", "offset", "tags"), found.getColumns().stream().map(Column::getName).toList());
        assertEquals("编号", found.getColumn("id").getComment());
        assertEquals("ARRAY<STRING>", found.getColumn("tags").getTypeInfo().getTypeName());
        assertEquals(List.of("pt"), found.getPartitionColumns().stream().map(Column::getName).toList());

        odps.tables().delete(name);
        assertFalse(odps.tables().exists(name));
        odps.tables().delete(name, true);
    }

    @Test
    void tablesAreListedByTheBeginningOfTheirName() throws Exception {
        String prefix = Emulator.tableName("listed");
        Set<String> made = new HashSet<>();
        for (int number = 0; number < 3; number++) {
            made.add(prefix + "_" + number);
            Emulator.run(odps, "CREATE TABLE " + prefix + "_" + number + " (id BIGINT);");
        }
        TableFilter filter = new TableFilter();
        filter.setName(prefix);
        Set<String> listed = new HashSet<>();
        odps.tables().iterator(filter).forEachRemaining(table -> listed.add(table.getName()));
        assertEquals(made, listed);
    }

    @Test
    void aViewIsATableOfItsOwnType() throws Exception {
        String name = Emulator.tableName("view");
        Emulator.run(odps, "CREATE VIEW " + name + " (number COMMENT 'n') COMMENT 'c' AS SELECT 1;");
        Table view = odps.tables().get(name);
        view.reload();
        assertEquals(Table.TableType.VIRTUAL_VIEW, view.getType());
        assertTrue(view.isVirtualView());
        assertFalse(view.isMaterializedView());
        assertEquals("SELECT 1", view.getViewText());
        assertEquals("n", view.getSchema().getColumn("number").getComment());
        TableFilter filter = new TableFilter();
        filter.setName(name);
        filter.setType(Table.TableType.VIRTUAL_VIEW);
        assertTrue(odps.tables().iterator(filter).hasNext());
        filter.setType(Table.TableType.MANAGED_TABLE);
        assertFalse(odps.tables().iterator(filter).hasNext());
        Exception refused =
            assertThrows(Exception.class, () -> odps.tableTunnel().createDownloadSession(Emulator.PROJECT, name));
        assertTrue(refused.getMessage().contains("is a view"), refused.getMessage());
        Emulator.run(odps, "DROP VIEW " + name + ";");
        assertFalse(odps.tables().exists(name));
    }

    @Test
    void partitionsAreMadeListedAndDropped() throws Exception {
        Table table = odps.tables().get(
            Emulator.table(odps, "parted", "(id BIGINT) PARTITIONED BY (pt STRING, region STRING)"));
        PartitionSpec first = new PartitionSpec("pt='2026-11-24 10',region='hz'");
        PartitionSpec second = new PartitionSpec("pt='2026-11-24 11',region='hz'");
        assertFalse(table.hasPartition(first));
        table.createPartition(first);
        table.createPartition(first, true);
        table.createPartition(second);
        assertTrue(table.hasPartition(first));
        assertEquals(
            Set.of(first.toString(), second.toString()),
            new HashSet<>(table.getPartitions().stream().map(part -> part.getPartitionSpec().toString()).toList()));
        assertEquals(2, table.getPartitionSpecs().size());
        assertNotNull(table.getPartition(first).getCreatedTime());

        table.deletePartition(first);
        assertFalse(table.hasPartition(first));
        assertTrue(table.hasPartition(second));
    }

    @Test
    void aTableIsPreviewed() throws Exception {
        String name = Emulator.table(odps, "previewed", "(id BIGINT, name STRING)");
        Emulator.run(odps, "INSERT INTO " + name + " VALUES (1, 'a,\"b\"'), (2, NULL), (3, '三');");
        RecordReader reader = odps.tables().get(name).read(2);
        Record first = reader.read();
        assertEquals("a,\"b\"", first.get("name") instanceof byte[] bytes ? new String(bytes) : first.getString("name"));
        assertTrue(reader.read().isNull("name"));
        assertEquals(null, reader.read());
    }

    @Test
    void aTableIsTruncated() throws Exception {
        String name = Emulator.table(odps, "emptied", "(id BIGINT)");
        Emulator.run(odps, "INSERT INTO " + name + " VALUES (1);");
        assertEquals(1, Emulator.count(odps, name));
        odps.tables().get(name).truncate();
        assertEquals(0, Emulator.count(odps, name));
    }
}
