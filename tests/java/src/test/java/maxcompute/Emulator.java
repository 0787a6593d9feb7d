package maxcompute;

import com.aliyun.odps.Instance;
import com.aliyun.odps.Odps;
import com.aliyun.odps.OdpsException;
import com.aliyun.odps.account.AliyunAccount;
import com.aliyun.odps.data.Record;
import com.aliyun.odps.task.SQLTask;
import java.util.List;
import java.util.UUID;

/** Where the emulator under test is, and the SDK's client for it. */
final class Emulator {
    static final String PROJECT = setting("MAXCOMPUTE_PROJECT");
    /** Whether tables can have TIMESTAMP columns, which the emulator refuses with Python 3.10. */
    static final boolean HAS_TIMESTAMP = Boolean.parseBoolean(setting("MAXCOMPUTE_HAS_TIMESTAMP"));
    private static final long POLL_MILLISECONDS = 20;

    private Emulator() {
    }

    /** The client as a user makes it: no Tunnel endpoint, for the SDK asks the endpoint for it. */
    static Odps client() {
        return client(setting("MAXCOMPUTE_ACCESS_KEY"));
    }

    static Odps client(String accessKey) {
        return client(new AliyunAccount(setting("MAXCOMPUTE_ACCESS_ID"), accessKey));
    }

    /** A client that signs by version 4, which takes the region in. */
    static Odps regionalClient(String region) {
        return client(new AliyunAccount(setting("MAXCOMPUTE_ACCESS_ID"), setting("MAXCOMPUTE_ACCESS_KEY"), region));
    }

    private static Odps client(AliyunAccount account) {
        Odps odps = new Odps(account);
        odps.setEndpoint(setting("MAXCOMPUTE_ENDPOINT"));
        odps.setDefaultProject(PROJECT);
        return odps;
    }

    /** A name that no other test has, for all share one project. */
    static String tableName(String theme) {
        return theme + "_" + UUID.randomUUID().toString().replace("-", "");
    }

    /** The name of a new table; {@code definition} is what follows the name in CREATE TABLE. */
    static String table(Odps odps, String theme, String definition) throws OdpsException {
        String name = tableName(theme);
        run(odps, "CREATE TABLE " + name + " " + definition + ";");
        return name;
    }

    /** Run a statement to its end; fails with the service's message. */
    static Instance run(Odps odps, String sql) throws OdpsException {
        Instance instance = SQLTask.run(odps, sql);
        instance.waitForSuccess(POLL_MILLISECONDS);
        return instance;
    }

    /** The rows of a query, by the instance tunnel. */
    static List<Record> query(Odps odps, String sql) throws Exception {
        return SQLTask.getResultByInstanceTunnel(run(odps, sql));
    }

    /** How many rows a table has, as SQL counts them. */
    static long count(Odps odps, String table) throws Exception {
        return query(odps, "SELECT COUNT(*) AS n FROM " + table + ";").get(0).getBigint("n");
    }

    private static String setting(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) {
            throw new IllegalStateException("the environment variable " + name + " has to say where the emulator is");
        }
        return value;
    }
}
